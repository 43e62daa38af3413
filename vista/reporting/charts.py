"""Charts as SVG that stands in a page: lines over steps, and the radar of Figure 1; in the colours of `vista.draw`."""

from collections.abc import Iterable, Sequence
from itertools import chain
from math import cos, floor, log10, pi, sin
from operator import itemgetter
from statistics import fmean as mean
from typing import NamedTuple

from vista.draw import COLORS
from vista.reporting.tables import escape

WIDTH, HEIGHT = 420, 230
LEFT, RIGHT, TOP, BOTTOM = 48, 10, 10, 24  # room around a chart of lines
RADIUS = 140  # of the radar
MIDDLE_X, MIDDLE_Y = 330, 175  # of it, in a picture that has room for words at its sides
MOST_POINTS = 400  # of a line: a longer training is thinned
MOST_DOTS = 12  # points of a line that are marked: of one alone nothing else would be seen
DASHES = ("", "6 3", "2 3", "8 3 2 3")
Point = tuple[float, float]


class Line(NamedTuple):
    """A line of a chart: its name and its points, x rising."""

    name: str
    points: Sequence[Point]


class Spoke(NamedTuple):
    """An axis of a radar: what stands at its end, and the values that are its middle and its rim."""

    title: str
    origin: float
    rim: float


def color(index: int) -> str:
    """A colour in CSS; those of the palette, one after the other."""
    red, green, blue = COLORS[(index + 4) % len(COLORS)]
    return f"rgb({red},{green},{blue})"


def stroke(index: int) -> str:
    """How the line of an index is drawn: after all colours, they come again in dashes."""
    dashes = DASHES[index // len(COLORS) % len(DASHES)]
    return f'fill="none" stroke="{color(index)}" stroke-width="1.8" stroke-dasharray="{dashes}"'


def line_chart(lines: Sequence[Line], label: str, marks: Sequence[float] = ()) -> str:
    """Lines over a common axis.

    Args:
        lines: what is drawn; values that are no finite numbers must not be among them.
        label: of the x axis.
        marks: where on it a vertical line stands.
    """
    points = list(chain.from_iterable(line.points for line in lines))
    if not points:
        return ""
    across, upward = zip(*points, strict=True)
    (x0, x1), (y0, y1) = _range(across), _range(upward)

    def place(point: Point) -> Point:
        x = LEFT + (point[0] - x0) / (x1 - x0) * (WIDTH - LEFT - RIGHT)
        return x, HEIGHT - BOTTOM - (point[1] - y0) / (y1 - y0) * (HEIGHT - TOP - BOTTOM)

    drawn = [_grid(value, place((x0, value))[1]) for value in _ticks(y0, y1)]
    for mark in marks:
        x = place((mark, y0))[0]
        drawn.append(
            f'<path class="grid" stroke-dasharray="3" d="M{x:.1f} {TOP}V{HEIGHT - BOTTOM}"/>'
        )
    for index, line in enumerate(lines):
        places = [place(point) for point in thinned(line.points)]
        title = f"<title>{escape(line.name)}</title>"
        drawn.append(f'<polyline {stroke(index)} points="{_joined(places)}">{title}</polyline>')
        if len(places) <= MOST_DOTS:
            dots = "".join(f'<circle r="3" cx="{x:.1f}" cy="{y:.1f}"/>' for x, y in places)
            drawn.append(f'<g fill="{color(index)}">{dots}</g>')
    drawn.append(f'<text x="{LEFT}" y="{HEIGHT - 6}">{x0:g}</text>')
    drawn.append(
        f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 6}" text-anchor="end">{x1:g} {escape(label)}</text>'
    )
    return _svg(
        WIDTH, HEIGHT + 16 * len(lines), [*drawn, *_legend([line.name for line in lines], HEIGHT)]
    )


def radar_chart(
    spokes: Sequence[Spoke], shapes: Sequence[tuple[str, Sequence[float | None]]]
) -> str:
    """A radar: each axis runs from its origin in the middle to its rim; what lies below the origin is in the middle.

    Args:
        spokes: three or more.
        shapes: name and value on every axis; a shape is broken where it has none, and its lone points are dots.
    """
    names = [name for name, _ in shapes]
    drawn = [_web(spokes, share) for share in (0.25, 0.5, 0.75, 1.0)]
    for index, spoke in enumerate(spokes):
        x, y = _on_web(index, len(spokes), 1.1)
        anchor = "middle" if abs(x - MIDDLE_X) < 9 else "start" if x > MIDDLE_X else "end"
        text = escape(f"{spoke.title} {spoke.rim:.1f}")
        drawn.append(f'<text x="{x:.1f}" y="{y + 4:.1f}" text-anchor="{anchor}">{text}</text>')
    for number, (name, values) in enumerate(shapes):
        drawn.append(
            f"<g {stroke(number)}><title>{escape(name)}</title>{_shape(spokes, values)}</g>"
        )
    bottom = 2 * MIDDLE_Y
    return _svg(2 * MIDDLE_X, bottom + 16 * (len(names) + 1), [*drawn, *_legend(names, bottom)])


def _shape(spokes: Sequence[Spoke], values: Sequence[float | None]) -> str:
    count, drawn, places = len(spokes), [], dict[int, Point]()
    for index, (spoke, value) in enumerate(zip(spokes, values, strict=True)):
        if value is not None:
            share = (value - spoke.origin) / (spoke.rim - spoke.origin)
            x, y = places[index] = _on_web(index, count, min(1.08, max(0.0, share)))
            title = f"<title>{value:.1f}</title>"
            drawn.append(f'<circle r="2.5" cx="{x:.1f}" cy="{y:.1f}">{title}</circle>')
    for index, place in places.items():
        after = places.get((index + 1) % count)
        if after is not None:
            drawn.append(f'<polyline points="{_joined([place, after])}"/>')
    return "".join(drawn)


def _web(spokes: Sequence[Spoke], share: float) -> str:
    corners = (_on_web(index, len(spokes), share) for index in range(len(spokes)))
    return f'<polygon class="grid" points="{_joined(corners)}"/>'


def _on_web(index: int, count: int, share: float) -> Point:
    angle = 2 * pi * index / count
    return MIDDLE_X + share * RADIUS * sin(angle), MIDDLE_Y - share * RADIUS * cos(angle)


def thinned(points: Sequence[Point]) -> list[Point]:
    """At most `MOST_POINTS` points, each the mean of neighbours."""
    step = -(-len(points) // MOST_POINTS)
    groups = [points[start : start + step] for start in range(0, len(points), step)]
    return [(group[-1][0], mean(map(itemgetter(1), group))) for group in groups]


def _range(values: Iterable[float]) -> tuple[float, float]:
    some = list(values)
    low, high = min(some), max(some)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _ticks(low: float, high: float) -> list[float]:
    """Three to six round numbers between two."""
    step = 10.0 ** floor(log10((high - low) / 2))
    step *= next(times for times in (1, 2, 5) if (high - low) / (times * step) <= 6)
    first = -(-low // step)
    return [step * (first + k) for k in range(int((high - first * step) / step) + 1)]


def _grid(value: float, y: float) -> str:
    path = f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>'
    return f'{path}<text x="{LEFT - 4}" y="{y + 4:.1f}" text-anchor="end">{value:.4g}</text>'


def _legend(names: Sequence[str], top: float) -> list[str]:
    lines = []
    for index, name in enumerate(names):
        y = top + 10 + 16 * index
        mark = f'<path {stroke(index)} d="M{LEFT} {y}h24"/>'
        lines.append(f'{mark}<text x="{LEFT + 30}" y="{y + 4}">{escape(name)}</text>')
    return lines


def _joined(points: Iterable[Point]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _svg(width: float, height: float, parts: Sequence[str]) -> str:
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    return f'<svg role="img" {size}>{"".join(parts)}</svg>'
