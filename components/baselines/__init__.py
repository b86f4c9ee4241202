"""Classical detectors of Table I: a photograph in, an in-focus map out (`components.methods` says how they are called)."""
