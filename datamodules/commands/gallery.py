"""Answers to look at: of each task the best, the worst, those in the middle and malformed ones, as cards with pictures.

The truth stands beside the answer where there are regions. Pictures are in the page, and small; when they have used up
their share of the page's bytes, the cards that follow have none.
"""

from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from datamodules.commands.reported import Answered, ReportedRun
from datamodules.commands.show import drawn
from vista.data import Annotation, Prediction
from vista.draw import contact_sheet, fitted, jpeg
from vista.printable import in_one_line
from vista.reporting.page import folded
from vista.reporting.tables import escape

EACH = 3  # cards of a kind
SIDE = 250  # pixels of a picture
QUALITY = 75
LONGEST = 300  # letters of a text


@dataclass
class Room:
    """Bytes that are left for pictures."""

    left: int


class Sample(NamedTuple):
    """An answer of a run: which score's, and its place there."""

    answered: Answered
    place: int

    @property
    def annotation(self) -> Annotation:
        """What was asked about."""
        return self.answered.asked[self.place]

    @property
    def rank(self) -> float:
        """How good the answer is."""
        return float(self.answered.ranks[self.place])

    @property
    def malformed(self) -> bool:
        """Whether it has no form."""
        column = self.answered.sampled.evaluator.sums.index("parse_failures")
        return bool(self.answered.sampled.sums[self.place][column])


def galleries(run: ReportedRun, room: Room) -> Iterator[str]:
    """HTML, a part for each task."""
    by_task: dict[str, list[Sample]] = {}
    for answered in run.answered.values():
        samples = [Sample(answered, place) for place in range(len(answered.asked))]
        by_task.setdefault(answered.source.task.name, []).extend(samples)
    for task, samples in by_task.items():
        parts = []
        for title, chosen in kinds(samples).items():
            cards = "".join(card([sample], [run.name], room) for sample in chosen)
            parts.append(
                f"<h4>{title}</h4><div class=cards>{cards or '<p class=note>none</p>'}</div>"
            )
        yield f"<h3>{escape(f'{run.name}: {task}')}</h3>{''.join(parts)}"


def kinds(samples: Sequence[Sample]) -> dict[str, list[Sample]]:
    """Some samples of each kind, none twice; of equal ones those that lie first."""
    well_formed = sorted((s for s in samples if not s.malformed), key=lambda s: -s.rank)
    middle = max(0, (len(well_formed) - EACH) // 2)
    best, rest = well_formed[:EACH], well_formed[EACH:]
    worst = rest[len(rest) - min(EACH, len(rest)) :]
    median = [s for s in well_formed[middle : middle + EACH] if s not in best and s not in worst]
    malformed = [s for s in samples if s.malformed]
    return {"Best": best, "Median": median, "Worst": worst[::-1], "Malformed": malformed[:EACH]}


def card(samples: Sequence[Sample], names: Sequence[str], room: Room) -> str:
    """The answers of one or several runs to a question: pictures, what was asked, and what was said.

    Args:
        samples: of the same annotation, one for each run.
        names: of the runs.
        room: what is left for pictures.
    """
    answered, annotation = samples[0].answered, samples[0].annotation
    source = answered.source
    asked = source.question(annotation)[0][0].replace("<image>", " ")
    truth = source.task.turns(annotation)[-1][1]
    predictions = [sample.answered.prediction(annotation) for sample in samples]
    true = source.task.parse(truth, annotation)
    shown = [true, *predictions] if true.masks or true.boxes else [Prediction()]
    picture = _picture(answered, annotation, shown)
    image = ""
    if len(picture) <= room.left:
        room.left -= len(picture)
        image = f'<img alt="{escape(asked)}" src="data:image/jpeg;base64,{picture}">'
    order = " (truth, then answers)" if len(shown) > 1 else ""
    lines = [
        f"<p>{escape(f'{source.name} {annotation.id}{order}')}</p><p><b>{_text(asked)}</b></p>"
    ]
    lines.append(f"<p>truth: {_text(truth)}</p>")
    for name, sample, prediction in zip(names, samples, predictions, strict=True):
        form = ", malformed" if prediction.malformed else ""
        lines.append(f"<p>{escape(name)} ({sample.rank:.1f}{form}): {_text(prediction.text)}</p>")
    return f"<div class=card>{image}{''.join(lines)}</div>"


def _picture(answered: Answered, annotation: Annotation, shown: Sequence[Prediction]) -> str:
    """Pictures of the same images, one above the other or side by side, as base64."""
    pictures = []
    for prediction in shown:
        regions = replace(prediction, text="", malformed=False)
        pictures.append(fitted(drawn(answered.source, annotation, regions), SIDE))
    sheet: np.ndarray = contact_sheet(pictures, columns=2)
    return b64encode(jpeg(sheet, QUALITY)).decode()


def _text(value: str) -> str:
    """A text, behind a line of its beginning where it is long."""
    flat = in_one_line(value)
    if len(flat) <= LONGEST // 3:
        return escape(flat) or "<i>nothing</i>"
    return folded(f"{flat[: LONGEST // 3]}...", escape(flat[: 10 * LONGEST]))


def changed(
    first: ReportedRun, second: ReportedRun, score: str, places: Sequence[int], room: Room
) -> str:
    """Cards of the questions of a score that two runs do not answer alike: those that gain most, and lose most.

    Args:
        first: a run.
        second: another, asked the same.
        score: the name of the score.
        places: of the questions.
        room: what is left for pictures.
    """
    one, other = first.answered[score], second.answered[score]
    if (one.ranks == other.ranks).all():  # only a score that is not ranked by has changed
        return ""
    moved = sorted(places, key=lambda place: float(other.ranks[place] - one.ranks[place]))
    ends = {f"{first.name} is better": moved[:EACH], f"{second.name} is better": moved[::-1][:EACH]}
    parts = []
    for (title, chosen), sign in zip(ends.items(), (1, -1), strict=True):
        better = [p for p in chosen if sign * (one.ranks[p] - other.ranks[p]) > 0]
        pairs = [[Sample(one, place), Sample(other, place)] for place in better]
        cards = "".join(card(pair, [first.name, second.name], room) for pair in pairs)
        parts.append(
            f"<h4>{escape(title)}</h4><div class=cards>{cards or '<p class=note>none</p>'}</div>"
        )
    return f"<h3>{escape(score)}</h3>{''.join(parts)}"
