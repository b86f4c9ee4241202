"""The exception for what a user can put right, and its kind that time may put right."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


class InputError(ValueError):
    """Bad input from outside: a file, a key, an option, a device.

    Its message is shown as it stands, without a traceback, so it names the file or key, what was found,
    what was expected, and what to do.
    """


class TryAgainError(InputError):
    """Bad luck outside: a network or a server that may answer at another try. Shown as an `InputError`."""


@contextmanager
def one_message(message: Callable[[Exception], str]) -> Iterator[None]:
    """Whatever a library raises on a file, as the one message that `message` makes of it; ours pass as they are.

    Raises:
        InputError: the block raised anything.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        raise InputError(message(error)) from error


@contextmanager
def named_as(places: Mapping[Path, Path]) -> Iterator[None]:
    """Name in errors what the user named, not where it lies meanwhile."""
    try:
        yield
    except InputError as error:
        text = str(error)
        for here, theirs in places.items():
            text = text.replace(str(here), str(theirs))
        error.args = (text,)
        raise
