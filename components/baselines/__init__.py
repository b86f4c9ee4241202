"""Classical detectors of Table I: a photograph in, an in-focus map out, nothing learned.

A baseline is a function of an image, uint8 (H, W, 3) RGB, to a map, float32 (H, W) in [0, 1], 1 = in focus.
"""

import difflib
from collections.abc import Callable
from importlib import import_module

import numpy as np
from numpy.typing import NDArray

from components.errors import InputError

Baseline = Callable[[NDArray[np.uint8]], NDArray[np.float32]]

BASELINES: dict[str, str] = {"hifst": "components.baselines.hifst:hifst"}


def baseline(name: str) -> Baseline:
    """The baseline of this name, a key of BASELINES; its module is imported here and not before.

    Raises:
        InputError: no baseline has this name; the nearest one is named.
    """
    if name not in BASELINES:
        near = difflib.get_close_matches(name, BASELINES, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise InputError(f"baseline {name!r} is unknown; expected one of {', '.join(sorted(BASELINES))}{hint}")
    module, function = BASELINES[name].split(":")
    found: Baseline = getattr(import_module(module), function)
    return found
