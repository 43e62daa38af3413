"""How sure the headline of a source is: its answers scored one by one, and drawn image by image."""

from collections.abc import Callable

from vista.data import Annotation, Prediction
from vista.metrics.bootstrap import Interval, SampledScore
from vista.metrics.evaluator import Evaluator
from vista.task import Source

Answers = Callable[[Annotation], Prediction | None]


def sampled_score(source: Source, answer: Answers) -> SampledScore | None:
    """The headline of a source, for draws of its images.

    Args:
        source: what was asked.
        answer: gives the answer to each of its annotations; None: it was not asked.

    Returns:
        None where the task's metric keeps no sums to draw from.
    """
    task, evaluator = source.task, source.task.evaluator()
    if not isinstance(evaluator, Evaluator):
        return None
    found = SampledScore(evaluator, task.headline)
    for annotation in source.annotations:
        prediction = answer(annotation)
        if prediction is not None:
            # Questions about several images are drawn with those about the same first one.
            image = annotation.images[0] if annotation.images else annotation.id
            found.add(prediction, task.reference(annotation), image)
    return found


def headline_interval(source: Source, answer: Answers) -> Interval | None:
    """The 95 % interval of a headline score, see `sampled_score`; None where it cannot be drawn."""
    found = sampled_score(source, answer)
    return None if found is None else found.interval()
