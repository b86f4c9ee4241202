"""State dicts as people save them: the one set of weights that a file holds beyond doubt, and what was left off.

It may lie in a dictionary beside other things (`{"state_dict": ..., "epoch": 3}`), and its names behind what a wrapper
put before them (`module.`).
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from components.common.errors import InputError

PREFIXES = ("module.", "_orig_mod.", "model.", "net.")
"""What wrappers put before every name: data parallelism, a compiled model, Lightning and the like."""
AVERAGED = "n_averaged"
"""A count that torch keeps beside an average of weights."""
NO_WEIGHTS = ("optim", "sched")
"""How entries begin that hold tensors of a training's state."""
ALONE = "write the network's state dict alone, `torch.save(model.state_dict(), FILE)`, and name that"


def unwrapped(path: Path, found: object) -> tuple[dict[Any, Tensor], list[str]]:
    """The one state dict in what was read, and what is to be said of it.

    Raises:
        InputError: there is none, or more than one.
    """
    states = dict(states_in(found))
    if len(states) == 1:
        ((where, state),) = states.items()
        return state, [f"taken from its `{where}`"] if where else []
    if states:
        names = ", ".join(f"`{name}`" for name in states)
        raise InputError(f"{path}: holds {len(states)} sets of weights, {names}, expected one; {ALONE}")
    raise InputError(f"{path}: expected a state dict, found {described(found)}; {ALONE}")


def states_in(found: object, where: str = "") -> Iterator[tuple[str, dict[Any, Tensor]]]:
    """The state dicts at or below what was read, each with its place (`model.state_dict`)."""
    if not isinstance(found, Mapping) or not found:
        return
    if all(isinstance(value, Tensor) for value in found.values()):
        if any(value.ndim for value in found.values()):  # else they are scores
            yield where, {key: value.detach() for key, value in found.items()}
        return
    for key, value in found.items():
        if isinstance(key, str) and not key.lower().startswith(NO_WEIGHTS):
            yield from states_in(value, f"{where}.{key}" if where else key)


def described(found: object) -> str:
    """What was read in place of a state dict."""
    if not isinstance(found, Mapping):
        return f"an object of type {type(found).__name__}"
    if not found:
        return "an empty dict"
    others = {key: type(value).__name__ for key, value in found.items() if not isinstance(value, Tensor)}
    of = ", ".join(f"{key!r} ({kind})" for key, kind in list(others.items())[:3])
    return f"a dict with {of} in it" if others else "a dict of single numbers"


def without_prefix(state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """The tensors under their names without what a wrapper put before every one, and what was left off."""
    kept = {key: value for key, value in state.items() if key != AVERAGED}
    averaged = len(kept) < len(state) and all(key.startswith("module.") for key in kept)
    kept, prefix = kept if averaged else dict(state), ""
    while more := next((each for each in PREFIXES if kept and all(k != each and k.startswith(each) for k in kept)), ""):
        kept, prefix = {key.removeprefix(more): value for key, value in kept.items()}, prefix + more
    said = [f"`{prefix}` left off before every name"] if prefix else []
    return kept, said + [f"`{AVERAGED}` left out"] * averaged
