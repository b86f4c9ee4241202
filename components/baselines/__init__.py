"""Classical detectors of Table I: photograph in, in-focus map out; `components.methods` says how they are called."""

CLASSICAL = {
    "dbdf": "components.baselines.dbdf:dbdf",
    "lbp": "components.baselines.lbp:lbp",
    "hifst": "components.baselines.hifst:hifst",
}
"""By name, as `module:function`."""
LEARNS = frozenset({"dbdf"})
"""Those that need what they learned from a training split, `<name>.npz`."""
