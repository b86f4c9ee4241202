"""The exception for what a user can put right, and its kind that time may put right."""


class InputError(ValueError):
    """Bad input from outside: a file, a key, an option, a device.

    Its message is shown as it stands, without a traceback, so it names the file or key, what was found,
    what was expected, and what to do.
    """


class TryAgainError(InputError):
    """Bad luck outside: a network or a server that may answer at another try. Shown as an `InputError`."""
