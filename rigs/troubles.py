"""What several devices have to complain of, told together."""

from collections.abc import Iterable, Sequence

from adapters.modbus.errors import ModbusError
from rigs.errors import RigError


def raise_together(roles: Iterable[str], results: Sequence[object]) -> None:
    """Raise one ``RigError`` for all results that are errors of rigs or links; anything else is raised as it
    is.
    """
    troubles = [
        f"{role}: {r}" if isinstance(r, ModbusError) else str(r)
        for role, r in zip(roles, results, strict=True)
        if isinstance(r, RigError | ModbusError)
    ]
    for result in results:
        if isinstance(result, BaseException) and not isinstance(result, RigError | ModbusError):
            raise result
    if troubles:
        raise RigError("\n".join(troubles))
