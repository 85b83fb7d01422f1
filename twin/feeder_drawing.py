"""A feeder as an SVG picture: its buses where the case puts them, lines, transformers, connection points."""

from html import escape
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from adapters.grid.feeder import Feeder

WIDTH, HEIGHT, EDGE = 1000.0, 700.0, 30.0


def feeder_svg(feeder: "Feeder") -> str:
    """The picture; every element's name is its tooltip. One mark per bus, also where it has a row per phase."""
    first = np.unique(feeder.site, return_index=True)[1]
    at = _scaled(feeder.xy[first])
    place = {int(site): i for i, site in enumerate(feeder.site[first])}
    drawn, shapes = set(), []
    for row, (a, b) in enumerate(zip(feeder.branch_from, feeder.branch_to, strict=True)):
        ends = place[int(feeder.site[a])], place[int(feeder.site[b])]
        if ends in drawn:
            continue
        drawn.add(ends)
        (x1, y1), (x2, y2) = at[ends[0]], at[ends[1]]
        shapes.append(
            f'<line class="{feeder.branch_kind[row]}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}">'
            f"<title>{escape(feeder.branch_names[row])}</title></line>"
        )
    loads: dict[int, list[str]] = {}
    for point in feeder.points:
        loads.setdefault(place[int(feeder.site[point.bus])], []).append(f"{point.name} ({point.phases})")
    source = place[int(feeder.site[feeder.slack_bus])]
    for i, (x, y) in enumerate(at):
        kind = "source" if i == source else "load" if i in loads else "bus"
        text = "; ".join((feeder.bus_names[first[i]], *loads.get(i, ())))
        shapes.append(
            f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="{6 if kind == "source" else 3}">'
            f"<title>{escape(text)}</title></circle>"
        )
    style = (
        "line{stroke:#567;stroke-width:1.5}line.trafo{stroke:#b50;stroke-width:4}circle{fill:#567}"
        "circle.load{fill:#06c}circle.source{fill:#b50}"
    )
    body = "\n".join(shapes)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:g} {HEIGHT:g}"><title>{escape(feeder.name)}'
        f"</title><style>{style}</style>\n{body}\n</svg>\n"
    )


def _scaled(xy: "np.ndarray[tuple[int, int], np.dtype[np.float64]]") -> list[tuple[float, float]]:
    """Into the picture, the same scale both ways; north is up."""
    low, high = xy.min(axis=0), xy.max(axis=0)
    span = np.maximum(high - low, 1e-12)
    scale = min((WIDTH - 2 * EDGE) / span[0], (HEIGHT - 2 * EDGE) / span[1])
    return [(float(EDGE + (x - low[0]) * scale), float(HEIGHT - EDGE - (y - low[1]) * scale)) for x, y in xy]
