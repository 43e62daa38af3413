"""What the radars of a report show: the paper's Figure 1, and what was measured, beside its baselines."""

from collections.abc import Sequence
from itertools import chain
from typing import TypeAlias

from vista.reporting.charts import Spoke
from vista.reporting.paper import PUBLISHED, RADAR
from vista.reporting.scores import Key, RunScores, Scored, seen

Shape: TypeAlias = tuple[str, list[float | None]]  # a name, and a value on every axis
Radar: TypeAlias = tuple[list[Spoke], list[Shape]]


def paper_radar(runs: Sequence[RunScores]) -> Radar:
    """Figure 1: axes normalised by VistaLLM-13B, with the origins of Appendix A; runs on official benchmarks alone."""
    keys = [(axis.score, axis.metric) for axis in RADAR]
    rims = [PUBLISHED[key].large for key in keys]
    axes = zip(RADAR, rims, strict=True)
    spokes = [Spoke(axis.title, axis.origin * rim, rim) for axis, rim in axes]
    shapes: list[Shape] = [
        ("VistaLLM-13B (paper)", [*rims]),
        ("VistaLLM-7B (paper)", [PUBLISHED[key].small for key in keys]),
    ]
    for run in runs:
        values = [_value(run.found(key, True)) for key in keys]
        if any(values):
            shapes.append((run.name, values))
    return spokes, shapes


def own_radar(runs: Sequence[RunScores]) -> Radar:
    """The headlines that were measured, from nothing to the best of the runs; the baseline is a shape of its own."""
    found: dict[Key, list[Scored | None]] = {}
    for key in seen(chain.from_iterable(run.headlines for run in runs)):
        found[key] = [run.headlines.get(key) for run in runs]
    spokes, baselines = [], list[float | None]()
    for (score, metric), scores in found.items():
        known = [each for each in scores if each is not None]
        baselines.append(known[0].baseline)
        most = max(*(each.value for each in known), known[0].baseline or 0.0, 1e-9)
        spokes.append(Spoke(f"{score} {metric}", 0.0, most))
    shapes = [("baseline", baselines)]
    for place, run in enumerate(runs):
        shapes.append((run.name, [_value(scores[place]) for scores in found.values()]))
    return spokes, shapes


def _value(scored: Scored | None) -> float | None:
    return None if scored is None else scored.value
