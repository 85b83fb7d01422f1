"""A plain double-logarithmic line plot as SVG, without a plotting library."""

import math
from dataclasses import dataclass
from xml.sax.saxutils import escape

WIDTH, HEIGHT, TOP, LEFT, BOTTOM, GAP = 960, 420, 64, 70, 52, 60
COLOURS = ("#b3541e", "#7a6a00", "#0b6e4f", "#3a5ba0")
DASHES = ("2 3", "7 4", "", "10 3 2 3")


@dataclass(frozen=True)
class Line:
    """A named line; both coordinates above zero."""

    name: str
    points: list[tuple[float, float]]


def log_plot(panels: list[tuple[str, list[Line]]], y_title: str) -> str:
    """Panels side by side with one scale of y; ``panels`` are (title of x, lines), the same lines in each."""
    values = [y for _, lines in panels for line in lines for _, y in line.points]
    low, high = 10 ** math.floor(math.log10(min(values))), 10 ** math.ceil(math.log10(max(values)))
    width = (WIDTH - LEFT - 20 - GAP * (len(panels) - 1)) / len(panels)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'font-family="sans-serif" font-size="12" role="img" aria-label="{escape(y_title)}">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        f'<text x="{LEFT}" y="18" font-size="14" fill="#222">{escape(y_title)}</text>',
        *_legend([line.name for line in panels[0][1]]),
    ]
    for i, (x_title, lines) in enumerate(panels):
        parts += _panel(LEFT + i * (width + GAP), width, x_title, lines, low, high)
    return "\n".join([*parts, "</svg>", ""])


def _legend(names: list[str]) -> list[str]:
    step, parts = (WIDTH - LEFT) / len(names), []
    for i, name in enumerate(names):
        x = LEFT + i * step
        parts.append(f'<line x1="{x:.0f}" x2="{x + 26:.0f}" y1="40" y2="40" {_stroke(i)}/>')
        parts.append(f'<text x="{x + 31:.0f}" y="44" font-size="11" fill="#222">{escape(name)}</text>')
    return parts


def _stroke(i: int) -> str:
    return f'stroke="{COLOURS[i]}" stroke-width="2.2" stroke-dasharray="{DASHES[i]}" fill="none"'


def _panel(left: float, width: float, x_title: str, lines: list[Line], low: float, high: float) -> list[str]:
    xs = sorted({x for line in lines for x, _ in line.points})
    height = HEIGHT - TOP - BOTTOM

    def place(x: float, y: float) -> tuple[float, float]:
        across = math.log(x / xs[0]) / math.log(xs[-1] / xs[0])
        return left + across * width, TOP + height * (1 - math.log(y / low) / math.log(high / low))

    parts = []
    level = low
    while level <= high:
        _, y = place(xs[0], level)
        parts.append(
            f'<line x1="{left:.1f}" x2="{left + width:.1f}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>'
        )
        parts.append(
            f'<text x="{left - 6:.1f}" y="{y + 4:.1f}" text-anchor="end" fill="#444">{level:,.0f}</text>'
        )
        level *= 10
    for x in xs:
        at, _ = place(x, low)
        parts.append(
            f'<text x="{at:.1f}" y="{TOP + height + 18:.1f}" text-anchor="middle" fill="#444">{x:,.0f}</text>'
        )
    parts.append(
        f'<text x="{left + width / 2:.1f}" y="{HEIGHT - 10}" text-anchor="middle" fill="#222">{escape(x_title)}</text>'
    )
    for i, line in enumerate(lines):
        points = [place(x, y) for x, y in line.points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline points="{path}" {_stroke(i)}/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.6" fill="{COLOURS[i]}"/>' for x, y in points]
    return parts
