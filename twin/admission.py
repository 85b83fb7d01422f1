"""The asset pool of a scenario: every asset is registered, and only what is admitted trades locally."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from adapters.grid.feeder import IntArray
from market.admission import AssetPool, Condition, Decision, Reason, Registration
from market.admitted import NEVER
from market.orders import BATTERY, DEVICE_NAMES, EV, HEAT_PUMP, PV
from twin.participants import Participants
from twin.scenario.admission_section import AdmissionSection, RegistrationSection
from twin.tariff import micro

Complain = Callable[..., None]
DEVICES = (PV, BATTERY, EV, HEAT_PUMP)


@dataclass(frozen=True)
class Admission:
    """One registration with the decision on it."""

    registration: Registration
    participant: str
    at_s: int
    decision: Decision


@dataclass(frozen=True)
class Admissions:
    """All decisions of a run, and from which interval on each device may trade; (n, kinds)."""

    rows: tuple[Admission, ...]
    first_interval: IntArray

    def columns(self) -> dict[str, list[Any]]:
        """Columns of admissions.parquet."""
        return {
            "asset": [row.registration.asset_id for row in self.rows],
            "participant": [row.participant for row in self.rows],
            "device": [row.registration.kind for row in self.rows],
            "meter_point": [row.registration.meter_point for row in self.rows],
            "owner": [row.registration.owner for row in self.rows],
            "at_s": [row.at_s for row in self.rows],
            "stake_micro": [row.registration.stake_micro for row in self.rows],
            "admitted": [row.decision.admitted for row in self.rows],
            "codes": [[reason.code for reason in row.decision.reasons] for row in self.rows],
            "reasons": [
                "; ".join(reason.text for reason in row.decision.reasons) or None for row in self.rows
            ],
        }


def rated_w(people: Participants, device: int) -> np.ndarray[Any, Any]:
    """Rated power of a kind of asset; (n,), zero where there is none."""
    rated = {PV: people.pv_rated_w, BATTERY: people.battery_p_w, EV: people.ev_p_w}
    return rated.get(device, people.heat_pump_p_w)


def admission_problems(section: AdmissionSection, people: Participants, complain: Complain) -> None:
    """Report registrations of what is not there."""
    for i, entry in enumerate(section.registrations):
        path = f"market.admission.registrations[{i}]"
        for field in ("participant", "signed_by"):
            name = getattr(entry, field)
            if name is not None and name not in people.names:
                complain(f"{path}.{field}", "no such connection point", name, "a connection point")
        if entry.participant in people.names:
            row, device = people.names.index(entry.participant), DEVICE_NAMES.index(entry.device)
            has = [DEVICE_NAMES[kind] for kind in DEVICES if rated_w(people, kind)[row] > 0]
            if not rated_w(people, device)[row] > 0:
                allowed = ", ".join(has) or "none: it has no assets"
                complain(f"{path}.device", "this connection point has no such asset", entry.device, allowed)


def admit(
    section: AdmissionSection, people: Participants, seed: int, interval_s: int, n_intervals: int
) -> Admissions:
    """Register every asset, in order of time, connection point and device, and decide on each.

    A registration from which no interval of the run is left is refused: the asset trades in none.
    """
    from adapters.chain.errors import ChainInputError
    from adapters.chain.signatures import participant_signer, sign_text, signer_of

    signers = {name: participant_signer(seed, name) for name in people.names}

    def verify(message: bytes, signature: bytes, owner: str) -> bool:
        try:
            return signer_of(message, signature) == owner
        except ChainInputError:
            return False

    condition = Condition(
        section.condition, micro(section.stake_eur), int(section.from_h * 3600), int(section.to_h * 3600)
    )
    pool, rows = AssetPool(condition, verify), []
    first = np.full((people.n, len(DEVICE_NAMES)), NEVER, dtype=np.int64)
    for at_s, row, device, entry in _calls(section, people):
        name = people.names[row]
        plain = Registration(
            **_declared(section, entry, people, row, device, signers[name].address), signature=b""
        )
        key = signers[(entry and entry.signed_by) or name]
        signed = Registration(**{**vars(plain), "signature": sign_text(key, plain.message())})
        decision = pool.admit(signed, at_s)
        if at_s > (n_intervals - 1) * interval_s:
            text = f"registered at {at_s} s, after the last interval of the run has begun"
            decision = Decision(plain.asset_id, (*decision.reasons, Reason("after_the_end", text)))
        rows.append(Admission(signed, name, at_s, decision))
        if decision.admitted:
            first[row, device] = -(-at_s // interval_s)
    return Admissions(tuple(rows), first)


def _calls(
    section: AdmissionSection, people: Participants
) -> Sequence[tuple[int, int, int, RegistrationSection | None]]:
    """(second, row, device, what differs) of every asset that is registered."""
    special: dict[tuple[str, str], RegistrationSection] = {
        (entry.participant, entry.device): entry for entry in section.registrations
    }
    calls = []
    for device in DEVICES:
        for row in np.flatnonzero(rated_w(people, device) > 0).tolist():
            entry = special.get((people.names[row], DEVICE_NAMES[device]))
            calls.append((int(entry.at_h * 3600) if entry else 0, row, device, entry))
    return sorted(calls, key=lambda call: call[:3])


def _declared(
    section: AdmissionSection,
    entry: RegistrationSection | None,
    people: Participants,
    row: int,
    device: int,
    owner: str,
) -> dict[str, Any]:
    """What an owner states about an asset."""
    kind = DEVICE_NAMES[device]
    own = f"{people.names[row]}/{kind}"
    stake = section.default_stake_eur if entry is None or entry.stake_eur is None else entry.stake_eur
    return {
        "asset_id": own,
        "owner": owner,
        "meter_point": (entry and entry.meter_point) or own,
        "kind": kind,
        "p_max_w": max(1, round(float(rated_w(people, device)[row]))),
        "stake_micro": micro(stake),
    }
