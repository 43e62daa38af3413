"""Training curves of a run and of the stages before it, out of the event files of TensorBoard.

Stages stand one after the other on the axis of steps, each where the one before it has ended. An event file is a row of
records (TFRecord): length, its checksum, an `Event` of protobuf, its checksum. TensorBoard's own reader sums every byte
in Python, which takes minutes where pictures stand in the file; scalars are small, so larger records are passed over.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from math import isfinite
from pathlib import Path

from google.protobuf.message import DecodeError
from tensorboard.compat.proto.event_pb2 import Event

from vista.reporting.charts import Line, Point, line_chart
from vista.reporting.page import figure

LARGEST = 4096  # bytes of a record that is read
Curves = dict[str, list[Point]]  # step and value by tag
TRAINING = {"train/": "Loss of training, in nats a token that is weighed", "lr-": "Learning rate"}


def read_curves(run: Path) -> Curves:
    """All scalars of a run; none where it has no logs. Values that are no numbers are left out."""
    found: dict[str, dict[int, float]] = {}
    # A resumed run goes on in a file of its own, from an earlier step.
    for path in sorted((run / "logs").glob("events.out.tfevents.*")):
        for event in _events(path):
            for value in event.summary.value:
                if value.HasField("simple_value") and isfinite(value.simple_value):
                    found.setdefault(value.tag, {})[event.step] = value.simple_value
    return {tag: sorted(own.items()) for tag, own in found.items()}


def _events(path: Path) -> Iterator[Event]:
    """The small records of a file, up to its end or to where it is cut or damaged."""
    with path.open("rb") as file:
        while len(head := file.read(12)) == 12:
            size = int.from_bytes(head[:8], "little")
            if size > LARGEST:
                file.seek(size + 4, 1)
                continue
            content = file.read(size + 4)[:size]
            try:
                yield Event.FromString(content)
            except DecodeError:
                return


def after_each_other(stages: Sequence[Curves]) -> tuple[Curves, list[float]]:
    """The curves of stages on one axis, and where on it a stage ends."""
    joined, ends, start = defaultdict[str, list[Point]](list), [], 0.0
    for stage in stages:
        last = 0.0
        for tag, points in stage.items():
            joined[tag] += [(start + step, value) for step, value in points]
            last = max(last, *(step for step, _ in points), 0.0)
        start += last
        ends.append(start)
    return dict(joined), ends[:-1]


def curve_charts(stages: Sequence[Curves], headlines: Collection[str]) -> list[str]:
    """The charts of a run, as HTML: of training, of each headline in validation, and of each figure of speed.

    Args:
        stages: the curves of each.
        headlines: metrics of validation that are drawn, a chart for each, since they are no common measure.
    """
    curves, marks = after_each_other(stages)
    groups: dict[str, list[Line]] = {}
    for tag, points in sorted(curves.items()):
        title, name = _chart_of(tag, headlines)
        if title and points:
            groups.setdefault(title, []).append(Line(name, points))
    order = [*TRAINING.values(), *(title for title in groups if title not in TRAINING.values())]
    drawn = [title for title in order if title in groups]
    return [figure(line_chart(groups[title], "steps", marks), title) for title in drawn]


def _chart_of(tag: str, headlines: Collection[str]) -> tuple[str, str]:
    """The caption of the chart that a tag belongs to, empty where it is not drawn, and the name of its line."""
    for beginning, title in TRAINING.items():
        if tag.startswith(beginning):
            return title, tag.removeprefix(beginning)
    group, _, metric = tag.rpartition("/")
    if tag.startswith("val/") and metric in headlines:
        return f"Validation: {metric}", group.removeprefix("val/") if "/" in group else "all"
    return (tag, metric) if tag.startswith("speed/") else ("", "")
