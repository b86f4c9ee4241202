"""The exception for what a user can put right, and its kind that time may put right."""

from collections.abc import Callable, Container, Iterator, Mapping
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
def one_message(message: Callable[[Exception], str], but: Container[int] = ()) -> Iterator[None]:
    """Whatever a library raises on a file, as the one message that `message` makes of it.

    Ours pass as they are, and the system's with an error number that is in `but`.

    Raises:
        InputError: the block raised anything.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in but:
            raise
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
