"""Errors of the twin. The class says what the caller can do; ``exit_code`` is what the process returns."""


class TwinError(Exception):
    """Base of all errors of ``twin``."""

    exit_code = 4


class WrongInputError(TwinError):
    """Something the user gave is wrong; nothing was run. The text says where, what was got and what to do."""

    exit_code = 2


class AbortedError(TwinError):
    """The run was interrupted, or an outside part failed: worth another try."""

    exit_code = 4
