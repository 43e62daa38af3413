"""Curves of a score in percent against tokens, drawn as the figure of a paper."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

Curve = Sequence[tuple[float, float]]

SIZE = (900, 460)  # of the figure; all lengths below are in these units
LEFT, TOP, RIGHT, BOTTOM = 70, 16, 640, 402  # the axes
RESOLUTION, SMOOTHING = (
    2,
    2,
)  # pixels per unit in the file, and how much larger it is drawn before it is shrunk

# Okabe and Ito's colours, which colour-blind readers can tell apart.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
DASHES = (0.0, 7.0, 2.5)  # length of a dash; 0: an unbroken line
SCORES = (
    10,
    20,
    30,
    40,
    50,
    60,
    70,
    80,
    85,
    90,
    93,
    95,
    97,
    98,
    98.5,
    99,
    99.3,
    99.5,
    99.7,
    99.8,
    99.9,
)


def plot_curves(
    curves: Mapping[tuple[str, str], Curve], x_label: str, y_label: str, path: Path
) -> None:
    """Write one line per curve to a PNG file.

    Both axes are logarithmic, the upright one in what is missing to 100, so that 98 and 99 are as far apart as 80
    and 90.

    Args:
        curves: (name, variant) -> points (x above 0, score in percent). Curves of one name share their colour and mark,
            those of one variant their dashes.
        x_label: what the x axis shows.
        y_label: what the y axis shows.
        path: of the PNG file.
    """
    figure = _Figure(curves)
    figure.axes(x_label, y_label)
    names, variants = (list(dict.fromkeys(keys)) for keys in zip(*curves, strict=True))
    for row, ((name, variant), points) in enumerate(curves.items()):
        style = names.index(name), DASHES[variants.index(variant) % len(DASHES)]
        legend_y = TOP + 14 + 22 * row
        figure.curve([figure.place(*point) for point in sorted(points)], *style)
        figure.curve([(RIGHT + 14, legend_y), (RIGHT + 46, legend_y)], *style)
        figure.text(RIGHT + 56, legend_y, f"{name}, {variant}", "lm")
    full = SIZE[0] * RESOLUTION, SIZE[1] * RESOLUTION
    figure.image.resize(full, Image.Resampling.LANCZOS).save(path, optimize=True)


class _Figure:
    """A canvas with axes fitted to the curves."""

    def __init__(self, curves: Mapping[tuple[str, str], Curve]) -> None:
        self.scale = RESOLUTION * SMOOTHING
        self.image = Image.new("RGB", (SIZE[0] * self.scale, SIZE[1] * self.scale), "white")
        self.draw = ImageDraw.Draw(self.image)
        points = [point for curve in curves.values() for point in curve]
        self.xs = sorted({x for x, _ in points})
        self.x_range = _padded([math.log(x) for x in self.xs])
        self.y_range = _padded([_rank(y) for _, y in points])

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Where a point (x, score) lies, in units."""
        across = (math.log(x) - self.x_range[0]) / (self.x_range[1] - self.x_range[0])
        up = (_rank(y) - self.y_range[0]) / (self.y_range[1] - self.y_range[0])
        return LEFT + across * (RIGHT - LEFT), BOTTOM - up * (BOTTOM - TOP)

    def axes(self, x_label: str, y_label: str) -> None:
        """Frame, grid, numbers, names."""
        last = -math.inf
        for x in self.xs:
            at, _ = self.place(x, 50)
            if at - last >= 34:
                last = at
                self.line([(at, TOP), (at, BOTTOM)], "#dddddd", 0.8)
                self.text(at, BOTTOM + 6, f"{x:.0f}", "mt")
        last = math.inf
        for score in SCORES:
            _, at = self.place(self.xs[0], score)
            if TOP <= at <= BOTTOM and last - at >= 20:
                last = at
                self.line([(LEFT, at), (RIGHT, at)], "#dddddd", 0.8)
                self.text(LEFT - 7, at, f"{score:g}", "rm")
        self.line(
            [(LEFT, TOP), (RIGHT, TOP), (RIGHT, BOTTOM), (LEFT, BOTTOM), (LEFT, TOP)], "#333333", 1
        )
        self.text((LEFT + RIGHT) / 2, SIZE[1] - 6, x_label, "mb", 15)
        self.upright_text(16, (TOP + BOTTOM) / 2, y_label, 15)

    def curve(self, places: Sequence[tuple[float, float]], i: int, dash: float) -> None:
        """A line with a mark at each place, in the colour and with the mark of the i-th name."""
        color = COLORS[i % len(COLORS)]
        for (x0, y0), (x1, y1) in pairwise(places):
            pieces = 2 * round(math.dist((x0, y0), (x1, y1)) / dash / 2) + 1 if dash else 1
            for k in range(0, pieces, 2):
                ends = [
                    (x0 + (x1 - x0) * t / pieces, y0 + (y1 - y0) * t / pieces) for t in (k, k + 1)
                ]
                self.line(ends, color, 1.8)
        for x, y in places:
            self.mark(x, y, i, color)

    def line(self, places: Sequence[tuple[float, float]], color: str, width: float) -> None:
        """A line through places in units."""
        scaled = [(x * self.scale, y * self.scale) for x, y in places]
        self.draw.line(scaled, fill=color, width=max(1, round(width * self.scale)), joint="curve")

    def mark(self, x: float, y: float, i: int, color: str) -> None:
        """A disc, a square, a triangle or a diamond."""
        sides, turn = ((32, 0.0), (4, 0.25), (3, 1.0), (4, 0.0))[i % 4]
        radius = 4.2 if sides == 32 else 5.2
        angles = [2 * math.pi * k / sides + turn * math.pi for k in range(sides)]
        corners = [(x + radius * math.sin(a), y + radius * math.cos(a)) for a in angles]
        self.draw.polygon([(u * self.scale, v * self.scale) for u, v in corners], fill=color)

    def text(self, x: float, y: float, text: str, anchor: str, size: int = 13) -> None:
        """Words at a place in units, anchored as Pillow says."""
        font = ImageFont.load_default(size * self.scale)
        self.draw.text(
            (x * self.scale, y * self.scale), text, fill="#222222", font=font, anchor=anchor
        )

    def upright_text(self, x: float, y: float, text: str, size: int) -> None:
        """Words that run upwards, centred at a place."""
        font = ImageFont.load_default(size * self.scale)
        left, top, right, bottom = font.getbbox(text)
        strip = Image.new("RGB", (math.ceil(right - left), math.ceil(bottom - top)), "white")
        ImageDraw.Draw(strip).text((-left, -top), text, fill="#222222", font=font)
        strip = strip.rotate(90, expand=True)
        self.image.paste(
            strip,
            (round(x * self.scale - strip.width / 2), round(y * self.scale - strip.height / 2)),
        )


def _rank(score: float) -> float:
    """Where a score stands on the upright axis: minus the logarithm of what is missing to 100."""
    return -math.log(max(100.0 - score, 0.01))


def _padded(values: Sequence[float]) -> tuple[float, float]:
    """Range of the values with a margin of 6 %; of one value, something around it."""
    low, high = min(values), max(values)
    margin = 0.06 * (high - low) or 0.5
    return low - margin, high + margin
