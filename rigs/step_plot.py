"""A characteristic as a picture: what the curve says, its band, and what was measured with its uncertainty. Plain
SVG, so that it opens anywhere and costs no dependency.
"""

from collections.abc import Callable, Sequence
from html import escape

from rigs.characterise import Characterisation
from rigs.step_test import Judgement

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 640, 400, 80, 20, 40, 50
_COLOURS = {"pass": "#1b7f3b", "fail": "#c0222b", "inconclusive": "#b07b00"}
_TICKS = 5


def plot(found: Characterisation) -> str:
    """Return an SVG of the settled values of a test over voltage, limit or set point."""
    final = found.judgements[1::2]
    unit = "var" if found.test == "volt_var" else "W"
    x_title = "limit or set point in W" if found.test == "watt_limit" else "voltage in pu"
    xs = [j.step.x_to for j in final]
    ys = [v for j in final for v in (j.low, j.high, j.value)]
    across = _scale(xs, _LEFT, _WIDTH - _RIGHT)
    upwards = _scale(ys, _HEIGHT - _BOTTOM, _TOP)
    parts = [_axes(xs, ys, across, upwards)]
    parts += [_measured(j, across, upwards) for j in final]
    if found.settings is not None:
        parts.append(_curve(found, xs, across, upwards))
    title = f"{found.role}: {found.test.replace('_', '-')}, settled values with criteria and uncertainty"
    by = f"measured by {final[0].step.instrument}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" '
        f'font-size="12"><rect width="100%" height="100%" fill="white"/>'
        f'<text x="{_LEFT}" y="22" font-size="14">{escape(title)}</text>'
        f'<text x="{_LEFT}" y="36" font-size="11">{escape(by)}</text>'
        f'<text x="{_WIDTH / 2}" y="{_HEIGHT - 12}" text-anchor="middle">{x_title}</text>'
        f'<text x="16" y="{_HEIGHT / 2}" transform="rotate(-90 16 {_HEIGHT / 2})" text-anchor="middle">'
        f"power in {unit}</text>{''.join(parts)}</svg>\n"
    )


def _scale(values: Sequence[float], first: float, last: float) -> Callable[[float], float]:
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    low, span = low - 0.05 * span, 1.1 * span
    return lambda v: first + (last - first) * (v - low) / span


def _measured(j: Judgement, across: Callable[[float], float], upwards: Callable[[float], float]) -> str:
    x, colour = across(j.step.x_to), _COLOURS[j.verdict]
    low, high = upwards(j.low), upwards(j.high)
    bar = [upwards(j.value + sign * j.uncertainty) for sign in (-1, 1)]
    return (
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{low:.1f}" y2="{high:.1f}" stroke="#9db4d0" stroke-width="6"/>'
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{bar[0]:.1f}" y2="{bar[1]:.1f}" stroke="{colour}" stroke-width="2"/>'
        f'<circle cx="{x:.1f}" cy="{upwards(j.value):.1f}" r="4" fill="{colour}">'
        f"<title>{j.verdict}: {j.value:.1f}, margin {j.margin:.1f}, uncertainty {j.uncertainty:.1f}</title></circle>"
    )


def _curve(
    found: Characterisation,
    xs: Sequence[float],
    across: Callable[[float], float],
    upwards: Callable[[float], float],
) -> str:
    assert found.settings is not None
    low, high = min(xs), max(xs)
    points = [low + (high - low) * i / 100 for i in range(101)]
    path = " ".join(f"{across(v):.1f},{upwards(found.settings.at(v)):.1f}" for v in points)
    return f'<polyline points="{path}" fill="none" stroke="#333" stroke-dasharray="5 3"/>'


def _axes(
    xs: Sequence[float],
    ys: Sequence[float],
    across: Callable[[float], float],
    upwards: Callable[[float], float],
) -> str:
    parts = []
    for i in range(_TICKS):
        x = min(xs) + (max(xs) - min(xs)) * i / (_TICKS - 1)
        y = min(ys) + (max(ys) - min(ys)) * i / (_TICKS - 1)
        parts.append(
            f'<text x="{across(x):.1f}" y="{_HEIGHT - _BOTTOM + 18}" text-anchor="middle">{x:.4g}</text>'
            f'<line x1="{across(x):.1f}" x2="{across(x):.1f}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}" stroke="#eee"/>'
            f'<text x="{_LEFT - 8}" y="{upwards(y) + 4:.1f}" text-anchor="end">{y:.4g}</text>'
            f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{upwards(y):.1f}" y2="{upwards(y):.1f}" stroke="#eee"/>'
        )
    return "".join(parts)
