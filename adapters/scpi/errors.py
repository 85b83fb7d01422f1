"""Errors of SCPI instruments. The class says what the caller can do."""


class ScpiError(Exception):
    """Base of all errors of SCPI instruments."""


class ScpiLinkError(ScpiError):
    """No connection, or lost: connect again. What was being set is *unknown*: ask for it."""


class ScpiTimeoutError(ScpiError):
    """The instrument did not answer in time. What was being set is *unknown*: ask for it, or make safe."""


class InstrumentError(ScpiError):
    """The instrument refused (its error queue says why): mend the request. ``code`` is the SCPI code."""

    def __init__(self, request: str, code: int, text: str) -> None:
        self.code = code
        super().__init__(f"{request}: the instrument refused with {code} ({text})")
