"""A function's keyword-only parameters as command line options."""

import argparse
import inspect
import types
import typing
from collections.abc import Callable
from typing import Any


def parse(function: Callable[..., Any], words: list[str]) -> dict[str, Any]:
    """Read `--name value` for each keyword-only parameter: text, numbers, paths, flags, literals, lists of these.

    A parameter without a default is required. A wrong option ends the process with a usage message and code 2.
    """
    description = (inspect.getdoc(function) or "").partition("\n")[0]
    parser = argparse.ArgumentParser(prog=f"python -m pipelines.stages.{function.__name__}", description=description)
    for name, parameter in inspect.signature(function, eval_str=True).parameters.items():
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY:
            required = parameter.default is inspect.Parameter.empty
            default = None if required else parameter.default
            options = option(parameter.annotation)
            parser.add_argument(f"--{name.replace('_', '-')}", dest=name, required=required, default=default, **options)
    return vars(parser.parse_args(words))


def option(annotation: object) -> dict[str, Any]:
    """What argparse has to know about a type."""
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (types.UnionType, typing.Union):
        return option(next(part for part in inner if part is not type(None)))
    if origin is typing.Literal:
        return {"choices": inner, "type": type(inner[0])}
    if origin is list:
        return {"nargs": "+", "type": inner[0]}
    if annotation is bool:
        return {"action": argparse.BooleanOptionalAction}
    return {"type": annotation}
