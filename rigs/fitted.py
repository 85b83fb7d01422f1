"""The bench's twin: an emulated device's parameters, fitted to recorded step responses, and whether they still hold.

A record is what ``twin rig characterise`` writes; the parameter file is what ``emulated.parameters`` of a bench names.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rigs.errors import RigError
from rigs.fit import StepFit, fit_step, has_drifted
from rigs.step_test import Step

FIT_TEST = "watt_limit"
"""The test whose steps show the device's own response; curves have response times of their own."""
_LEAST_SHARE = 0.1  # a smaller step than this share of the rating is lost in noise
_NOISE = 3.0  # a residual beyond so many times the fit's own is no noise
_LEAST_RMS_SHARE = 0.01  # of the rating: a smaller residual is never called drift


class Fitted(BaseModel):
    """A parameter file. ``rms_w`` and ``worst_w`` state the error of the fit."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    role: str
    response_s: float = Field(gt=0, le=86400)
    rated_w: float = Field(gt=0)
    rms_w: float = Field(ge=0)
    worst_w: float = Field(ge=0)
    steps: int = Field(ge=1)
    samples: int = Field(ge=3)


@dataclass(frozen=True)
class Drift:
    """A fresh record against a fit: its own time constant, and what the fit leaves unexplained in it."""

    response_s: float
    rms_w: float
    allowed_rms_w: float
    parted: bool
    why: str


def load_record(path: Path) -> dict[str, list[Step]]:
    """Return the steps of a record by role.

    Raises:
        RigError: it cannot be read, or is no record.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["format"] != "step responses":
            raise ValueError(f"format is {data['format']!r}")
        found: dict[str, list[Step]] = {}
        for entry in data["steps"]:
            role = entry.pop("role")
            found.setdefault(role, []).append(Step.from_dict(entry))
    except OSError as error:
        raise RigError(f"{path}: cannot be read ({error.strerror})") from None
    except (ValueError, KeyError, TypeError) as error:
        raise RigError(
            f"{path}: is no record of step responses ({error}); 'twin rig characterise --out' writes one"
        ) from None
    return found


def load_fitted(path: Path) -> Fitted:
    """Return a parameter file.

    Raises:
        RigError: it cannot be read, or a value is missing or out of range; all problems at once.
    """
    try:
        return Fitted.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise RigError(f"{path.name}: cannot be read ({error.strerror}); 'twin rig fit' writes it") from None
    except (ValidationError, yaml.YAMLError) as error:
        if isinstance(error, ValidationError):
            text = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'file'}: {e['msg']}" for e in error.errors())
        else:
            text = "is no YAML"
        raise RigError(f"{path.name}: {text}; 'twin rig fit' writes it") from None


def write_fitted(fitted: Fitted, path: Path) -> None:
    """Write a parameter file."""
    head = "# Written by 'twin rig fit'; name it in a bench as emulated: {parameters: THIS FILE}.\n"
    path.write_text(head + yaml.safe_dump(fitted.model_dump(), sort_keys=False), encoding="utf-8")


def fit_record(role: str, steps: Sequence[Step]) -> Fitted:
    """Fit one time constant to all steps of a role: the median over its steps, and the error that it leaves in
    all of them.

    Raises:
        RigError: no step that could be fitted.
    """
    useful = _useful(steps)
    if not useful:
        raise RigError(
            f"{role}: no {FIT_TEST} step of at least {_LEAST_SHARE:.0%} of the rating in the record; "
            f"run 'twin rig characterise --test {FIT_TEST}'"
        )
    response_s = median(_fit(step).response_s for step in useful)
    left_w = [e for step in useful for e in _residuals_w(step, response_s)]
    return Fitted(
        role=role, response_s=float(f"{response_s:.4g}"), rated_w=useful[0].rated, rms_w=round(_rms(left_w), 3),
        worst_w=round(max(map(abs, left_w)), 3), steps=len(useful), samples=len(left_w),
    )  # fmt: skip


def drift(fitted: Fitted, steps: Sequence[Step], tolerance: float = 0.2) -> Drift:
    """Compare a fresh record with a fit: they have parted where the time constant differs by more than
    ``tolerance``, or where the fit explains the record clearly worse than what it was made from.

    Raises:
        RigError: as ``fit_record``.
    """
    fresh = fit_record(fitted.role, steps)
    left_w = [e for step in _useful(steps) for e in _residuals_w(step, fitted.response_s)]
    rms_w = _rms(left_w)
    allowed_w = max(_NOISE * fitted.rms_w, _LEAST_RMS_SHARE * fitted.rated_w)
    why = []
    of_fresh = StepFit(fresh.response_s, 0.0, 1.0, fresh.rms_w, fresh.worst_w, fresh.samples)
    if has_drifted(of_fresh, fitted.response_s, tolerance=tolerance) and not rms_w <= allowed_w / _NOISE:
        why.append(f"its time constant is {fresh.response_s:g} s, the fit says {fitted.response_s:g} s")
    if not rms_w <= allowed_w:
        why.append(f"the fit leaves {rms_w:.1f} W rms, at most {allowed_w:.1f} W are noise")
    if fresh.rated_w != fitted.rated_w:
        why.append(f"it is rated {fresh.rated_w:g} W, the fit {fitted.rated_w:g} W")
    return Drift(fresh.response_s, rms_w, allowed_w, bool(why), "; ".join(why))


def _useful(steps: Sequence[Step]) -> list[Step]:
    return [
        s for s in steps if s.test == FIT_TEST and abs(s.x_to - s.before) >= _LEAST_SHARE * s.rated and s.samples
    ]  # fmt: skip


def _times_s(step: Step) -> list[float]:
    """Return when each sample holds: a mean belongs to the middle of its time."""
    times = [t for t, _ in step.samples]
    if not step.averaged:
        return times
    return [(a + b) / 2 for a, b in zip([0.0, *times], times, strict=False)]


def _fit(step: Step) -> StepFit:
    try:
        return fit_step(_times_s(step), [y for _, y in step.samples], step.before, step.final)
    except ValueError as error:
        raise RigError(f"step {step.x_from:g} -> {step.x_to:g} W: {error}") from None


def _residuals_w(step: Step, response_s: float) -> list[float]:
    return [
        y - (step.final + (step.before - step.final) * math.exp(-max(t, 0.0) / response_s))
        for t, (_, y) in zip(_times_s(step), step.samples, strict=True)
    ]


def _rms(values: Sequence[float]) -> float:
    return math.sqrt(sum(v * v for v in values) / len(values)) if values else math.nan
