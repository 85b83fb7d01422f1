"""The order with which a pre-flight tries a device: small, inside every limit, and what its answer says of the sign."""

from dataclasses import dataclass

from rigs.device import DeviceKind, RoleSpec, least_charge_w
from rigs.gate_rules import GateRules

_SHARE = 0.1  # of rated power


@dataclass(frozen=True)
class Ask:
    """An order of a pre-flight, in W into the grid."""

    p_w: float
    kind: DeviceKind

    def judged(self, measured_w: float, near_w: float, real: bool) -> tuple[bool | None, str]:
        """Return whether the sign is right (None: it cannot be told) and what was seen.

        A set point must be reached. A limit of a real device need not: it says how much at most, and sun and cars are
        not ours; power on the wrong side of it or of zero is wrong.
        """
        text = f"asked {self.p_w:g} W, measured {measured_w:g} W"
        if abs(measured_w - self.p_w) <= near_w:
            return True, text
        if self.kind == "battery" or not real:
            return False, text
        short = -near_w <= measured_w < self.p_w if self.p_w > 0 else self.p_w < measured_w <= near_w
        return (None, f"{text}: no more flows, so the sign does not show") if short else (False, text)


def trial_order(spec: RoleSpec, rules: GateRules, soc: float, room_w: tuple[float, float]) -> Ask | str:
    """Return a small order within the role's limits, its window of charge and what is left of the bench's sum, or why
    there is none.

    Args:
        spec: the role.
        rules: its limits.
        soc: state of charge as read, 0..1.
        room_w: least and most power that the bench's aggregate limit leaves.
    """
    least_w, most_w = max(rules.p_gen_w[0], room_w[0]), min(rules.p_gen_w[1], room_w[1])
    size_w = max(_SHARE * spec.p_max_w, 2 * rules.deadband_w)
    if spec.kind == "ev_charger":
        p_w = -least_charge_w(spec.p_max_w)
        return (
            Ask(p_w, spec.kind)
            if least_w <= p_w
            else f"its limits leave no {-p_w:g} W, the least it charges at"
        )
    if spec.kind == "heat_pump":
        return "a compressor is not switched for a trial; its safe state is written and read back"
    give_w, take_w = min(size_w, most_w), max(-size_w, least_w)
    low, high = rules.soc or (float("-inf"), float("inf"))
    near_w = max(rules.deadband_w, 0.0)
    if give_w > rules.safe_w + near_w and (spec.kind != "battery" or rules.soc is None or soc > low):
        return Ask(give_w, spec.kind)
    if spec.kind == "battery" and take_w < rules.safe_w - near_w and (rules.soc is None or soc < high):
        return Ask(take_w, spec.kind)
    return f"its limits leave no order between {least_w:g} and {most_w:g} W that differs from the safe value"
