"""Importing timm without `torch._dynamo`, which would be two thirds of the time it takes.

timm imports torchvision; torchvision's `roi_align` and five decorators in timm ask `torch._dynamo` for two names, which
pulls in all of the compiler and sympy: 3 of 4.7 s of every start. While timm is imported, stand-ins answer for these
two names. Asked for anything else (versions differ), they make room for the real modules; they never outlive the
import, so that `torch.compile` finds the real ones.
"""

import sys
from collections.abc import Callable
from importlib import import_module
from types import ModuleType

PACKAGE = "torch._dynamo"
MODULE = "torch._dynamo.utils"


def import_timm() -> ModuleType:
    """timm, without `torch._dynamo` unless that is loaded already or really needed."""
    if PACKAGE not in sys.modules:
        sys.modules |= {name: _StandIn(name) for name in (PACKAGE, MODULE)}
    try:
        return import_module("timm")
    finally:
        _remove_stand_ins()


class _StandIn(ModuleType):
    """Answers for `torch._dynamo` or its `utils`."""

    def __getattr__(self, name: str) -> object:
        if name == "disable":
            return _leave_as_it_is
        if name == "is_compile_supported":
            return _is_compile_supported
        if name.startswith("__") and (self.__name__, name) != (PACKAGE, "__path__"):
            raise AttributeError(name)  # the import machinery and `inspect` look around; a package is asked its path
        _remove_stand_ins()
        return getattr(import_module(self.__name__), name)


def _leave_as_it_is(function: Callable[..., object] | None = None, *_: object, **__: object) -> Callable[..., object]:
    """`torch._dynamo.disable`, for decorators: the function is not hidden from a later `torch.compile`."""
    return (lambda decorated: decorated) if function is None else function


def _is_compile_supported(device_type: str) -> bool:
    """Ask the real module, when called."""
    return bool(import_module(MODULE).is_compile_supported(device_type))


def _remove_stand_ins() -> None:
    for name in (PACKAGE, MODULE):
        if isinstance(sys.modules.get(name), _StandIn):
            del sys.modules[name]
