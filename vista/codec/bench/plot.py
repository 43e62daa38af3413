"""Curves of a score in percent against tokens, drawn as the figure of a paper."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from vista.data import InputError

Curve = Sequence[tuple[float, float]]

# Okabe and Ito's colours, which colour-blind readers can tell apart.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
MARKS, DASHES = "os^D", ("-", "--", ":")
PERCENT = (10, 20, 30, 40, 50, 60, 70, 80, 85, 90, 93, 95, 97, 98, 99, 99.5, 99.8, 99.9)
BEST = 99.99  # as high as the upright axis goes
CLOSEST = 0.05  # of an axis: two numbers that are nearer cannot be read apart
MARGIN = 0.06  # of the upright axis, below and above all points


def plot_curves(
    curves: Mapping[tuple[str, str], Curve],
    x_label: str,
    y_label: str,
    path: Path,
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

    Raises:
        InputError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise InputError("a figure needs matplotlib: pip install 'vistallm[plot]'") from error
    figure = Figure(figsize=(9, 4.6), dpi=200, layout="constrained")
    axes = figure.subplots()
    names = list(dict.fromkeys(name for name, _ in curves))
    variants = list(dict.fromkeys(variant for _, variant in curves))
    for (name, variant), points in curves.items():
        x, score = np.minimum(np.array(sorted(points)), [np.inf, BEST]).T  # float (points,) each
        i = names.index(name)
        color = COLORS[i % len(COLORS)]
        mark = MARKS[i % len(MARKS)]
        dash = DASHES[variants.index(variant) % len(DASHES)]
        axes.plot(x, score, dash, color=color, marker=mark, label=f"{name}, {variant}")
    points = list(chain.from_iterable(curves.values()))
    xs = sorted({x for x, _ in points})
    low, high = limits([score for _, score in points])
    axes.set_xscale("log")
    axes.set_xticks(readable(xs, math.log, xs[0], xs[-1]))
    axes.set_xticks([], minor=True)
    axes.set_yscale("function", functions=(height, percent))
    axes.set_ylim(low, high)
    axes.set_yticks(readable(PERCENT, height, low, high))
    axes.xaxis.set_major_formatter("{x:.0f}")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set(xlabel=x_label, ylabel=y_label)
    axes.grid(color="#dddddd")
    figure.legend(loc="outside right upper", frameon=False)
    figure.savefig(path)


def height(score: float | np.ndarray) -> np.ndarray:
    """Where a score stands on the upright axis: minus the logarithm of what is missing to 100."""
    return -np.log(np.maximum(100.0 - np.asarray(score), 1e-9))


def percent(height: float | np.ndarray) -> np.ndarray:
    """The inverse of `height`."""
    return 100.0 - np.exp(-np.asarray(height))


def limits(scores: Sequence[float]) -> tuple[float, float]:
    """Least and largest score of the upright axis: those of the points with a margin; around one, something."""
    low = float(height(min(scores)))
    high = float(height(min(max(scores), BEST)))
    margin = MARGIN * (high - low) or 0.5
    return float(percent(low - margin)), float(percent(high + margin))


def readable(
    values: Iterable[float],
    scale: Callable[[float], Any],
    low: float,
    high: float,
) -> list[float]:
    """The values between two others that are far enough apart to be written at an axis.

    Args:
        values: in rising order.
        scale: where a value stands at the axis.
        low: least value that is shown.
        high: largest value that is shown.
    """
    gap = CLOSEST * (scale(high) - scale(low))
    kept: list[float] = []
    for value in values:
        if not low <= value <= high:
            continue
        if not kept or scale(value) - scale(kept[-1]) >= gap:
            kept.append(value)
    return kept
