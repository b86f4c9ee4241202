"""Classical detectors of Table I: photograph in, in-focus map out; `components.methods` says how they are called."""
