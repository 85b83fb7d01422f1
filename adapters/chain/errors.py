"""Errors of the chain adapters. The class says what the caller can do."""


class ChainError(Exception):
    """Base of all chain errors: settlement did not happen, or is not known to have happened."""


class ChainInputError(ChainError):
    """The input is wrong (batch, address, chain id, keystore): mend it; nothing was sent."""


class ChainUnavailableError(ChainError):
    """The node or the settlement process is away: what was queued is kept or named; try again."""


class BatchRefusedError(ChainError):
    """The contract refused a batch; the text says why. Settlement stops here, nothing is half settled."""


class ArtefactError(ChainInputError):
    """A shipped artefact and the code at an address differ, or one is missing: rebuild or redeploy."""


class NodeRefusedError(ChainError):
    """The node would not do what it was asked (nonce, funds, unknown word): read the text."""


class RevertedError(ChainError):
    """A contract reverted a call; ``data`` is what it returned."""

    def __init__(self, data: bytes = b"", text: str = "execution reverted") -> None:
        self.data = data
        super().__init__(text)
