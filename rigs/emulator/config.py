"""What an emulated device is told before it starts."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class EmulatorConfig:
    """One emulated device. Plain values only: it travels to the device's process as JSON.

    ``response_s`` is the time constant of the power behind its reference. The default biases the mean of a
    900 s step by at most ``|step of p| * response_s / 900``, that is 0.6 W for a change of 10 kW: below the 1
    W of the power register. ``ramp_w_per_s`` 0 means no ramp. ``port`` 0 takes any free one.
    ``most_connections`` 1 plays a device that serves one client. ``clock`` is ``lockstep`` (time passes when
    the control channel says so) or ``wall``.

    ``category`` (I, II, III, or none) and ``performance`` (A, B) are those of IEEE 1547-2018: what an inverter
    rides through and trips at, and its default curves. ``enter_service_s`` and ``enter_ramp_s`` follow a trip;
    ``heartbeat_s`` is how long a controller's heartbeat may stop once it was heard (0: not listened to).
    ``terminals_fd`` is an inherited file of ``rigs.emulator.terminals``, -1 where none drives the terminals.
    """

    role: str
    kind: str  # pv_inverter | battery
    p_max_w: float
    capacity_wh: float = 0.0
    soc_initial: float = 0.0
    efficiency: float = 1.0
    response_s: float = 0.05
    ramp_w_per_s: float = 0.0
    v_nominal_v: float = 230.0
    phases: int = 3
    unit: int = 1
    host: str = "127.0.0.1"
    port: int = 0
    link: str = "tcp"  # tcp | tls | rtu
    tls_authorities: str = ""
    tls_certificate: str = ""
    tls_key: str = ""
    clock: str = "lockstep"
    most_connections: int = 0
    maker: str = "p2p-grid-twin"
    model: str = ""
    serial: str = ""
    category: str = "III"
    performance: str = "B"
    f_nominal_hz: float = 50.0
    enter_service_s: float = 300.0
    enter_ramp_s: float = 300.0
    heartbeat_s: float = 60.0
    terminals_fd: int = -1

    def as_dict(self) -> dict[str, Any]:
        """Return the plain dictionary."""
        return asdict(self)


def integer_sf(largest: float, limit: int = 32767) -> int:
    """Return the smallest scale factor >= 0 that lets 1.5 times ``largest`` fit a 16-bit register."""
    sf = 0
    while 1.5 * largest / 10**sf >= limit:
        sf += 1
    return sf
