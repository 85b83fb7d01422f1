"""Do devices and their independent meter say the same? The effect of an order is believed only if they do.

A meter at the connection point sees the sum of everything behind it. Which of the two lies nobody can tell from a
contradiction alone, so all readings of that connection point are bad until they agree again.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from rigs.bench_file import BenchFile, is_lockstep
from rigs.device import Ambient, Quality, RoleSpec, Sample
from rigs.fault_watch import owner_of
from rigs.heat_meter import METER, PUMP

_ROUNDING_W, _DEVICE_SHARE = 20.0, 0.02  # registers in whole W; a device's own meter is no better than 2 %


@dataclass
class MeterCheck:
    """Compares the meters of a bench with the devices behind them, step by step.

    ``meters`` maps a meter's role to its accuracy as a share of the reading (class 1: 0.01); ``patience_s`` is how
    long a contradiction must last before it counts, since meter and devices are not read at the same moment on
    wall-clock time (0 in lockstep, where both are means over the same step).
    """

    meters: Mapping[str, float]
    roles: tuple[str, ...]
    patience_s: float = 0.0
    _since_s: dict[str, float] = field(default_factory=dict)

    def behind(self, meter: str) -> tuple[str, ...]:
        """Return the roles behind a meter: those of the same owner, of its own meter the heat pump."""
        owner, own = owner_of(meter), meter.rpartition(".")[2] == METER
        mine = tuple(r for r in self.roles if r not in self.meters and owner_of(r) == owner)
        return tuple(r for r in mine if r.rpartition(".")[2] == PUMP) if own else mine

    def contradictions(
        self, now_s: float, samples: Mapping[str, Sample], other_w: Mapping[str, float]
    ) -> dict[str, str]:
        """Return role to contradiction for every role behind a meter that says otherwise, and for the meter.

        Args:
            now_s: when the step ended.
            samples: what was read.
            other_w: per meter, what flows behind it apart from devices of the bench, in W into the grid.
        """
        found: dict[str, str] = {}
        for meter, share in self.meters.items():
            behind = (
                () if meter.rpartition(".")[2] == METER else self.behind(meter)
            )  # a heat pump says no power
            seen = [samples[role] for role in (meter, *behind)]
            if not behind or any(s.quality is not Quality.GOOD for s in seen):
                self._since_s.pop(meter, None)
                continue
            told_w = other_w.get(meter, 0.0) + sum(samples[role].p_gen_w for role in behind)
            gross_w = abs(other_w.get(meter, 0.0)) + sum(abs(samples[role].p_gen_w) for role in behind)
            metered_w = samples[meter].p_gen_w
            allowed_w = _ROUNDING_W + share * abs(metered_w) + _DEVICE_SHARE * gross_w
            if abs(metered_w - told_w) <= allowed_w:
                self._since_s.pop(meter, None)
                continue
            if now_s - self._since_s.setdefault(meter, now_s) < self.patience_s:
                continue
            text = f"the meter says {metered_w:.0f} W, the devices behind it {told_w:.0f} W"
            found |= dict.fromkeys((meter, *behind), text)
        return found

    def flow(
        self, meter: str, here: Ambient, samples: Mapping[str, Sample], true_w: Mapping[str, float | None]
    ) -> Ambient:
        """Return what flows at an emulated meter: what the twin says of the rest, and what really flowed behind it.

        ``true_w`` is what emulated devices say beside their registers; of others the reading is taken.
        """
        flow_w, flow_var = here.p_available_w, here.q_var
        for role in self.behind(meter):
            known_w = true_w.get(role)
            seen_w = samples[role].p_gen_w if known_w is None else known_w
            flow_w += 0.0 if math.isnan(seen_w) else seen_w
            seen_var = samples[role].q_gen_var
            flow_var += 0.0 if math.isnan(seen_var) else seen_var
        return replace(here, p_available_w=flow_w, q_var=flow_var)


def meter_check(bench: BenchFile, specs: Mapping[str, RoleSpec]) -> MeterCheck:
    """Return the check of every meter of a bench against the devices behind it."""
    sections = {role: bench.devices[role] for role in bench.devices if specs[role].kind == "meter"}
    lockstep = all(d.driver == "memory" or is_lockstep(d) for d in bench.devices.values())
    patience_s = 0.0 if lockstep else max((s.meter.effect_within_s for s in sections.values()), default=0.0)
    shares = {role: section.error_share for role, section in sections.items()}
    return MeterCheck(shares, tuple(bench.devices), patience_s)


def doubted(sample: Sample, text: str) -> Sample:
    """Return the sample as bad, with why."""
    return replace(sample, quality=Quality.BAD, note="; ".join(filter(None, (sample.note, text))))
