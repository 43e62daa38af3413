"""Caption: one sentence about the image.

    -> "a large red circle left of a small blue square ."

COCO captions (https://cocodataset.org, arXiv:1504.00325), scored as its evaluation server does.
"""

import json
from collections.abc import Iterable, Sequence
from math import ceil

import numpy as np

from vista.data import Annotation, Prediction, Reference, Turns
from vista.decoding.grammar import Grammar, Text
from vista.metrics.caption import CaptionMetric, strip_markup
from vista.metrics.cider import CiderOfOne
from vista.metrics.evaluator import in_this_process
from vista.task import Task

MOST = 300  # images on which the constant caption is chosen
MOST_COUNTED = 5000  # images whose words are counted


class Caption(Task):
    """Image to one sentence; any of the reference captions is a target."""

    name = "caption"
    datasets = frozenset({"coco"})
    fields = frozenset({"captions"})
    answer_fields = frozenset({"captions"})
    headline = "CIDEr"
    halfway = 200.0  # so a point of CIDEr counts for half a percent at most
    baseline_name = "best constant caption"
    max_new_tokens = 64
    cider = CiderOfOne()

    def turns(self, annotation: Annotation, rng: np.random.Generator | None = None) -> Turns:
        """One turn; in training one of the captions is drawn."""
        # The caption is drawn before the prompt: what a seed draws depends on the order.
        choice = int(rng.integers(len(annotation.captions))) if rng is not None else 0
        target = " ".join(annotation.captions[choice].split())
        return ((self.prompt(annotation, rng), target),)

    def target(self, annotation: Annotation) -> str:
        """The first caption."""
        return " ".join(annotation.captions[0].split())

    def grammar(self, annotation: Annotation) -> Grammar:
        """Any words."""
        return (Text(),)

    def parse(self, text: str, annotation: Annotation) -> Prediction:
        """The text is the caption."""
        return Prediction(text=text, answer=" ".join(text.split()))

    def reference(self, annotation: Annotation) -> Reference:
        """All captions of the image."""
        return {"id": annotation.id, "captions": list(annotation.captions)}

    def prepare_rewards(self, annotations: Sequence[Annotation]) -> None:
        """Count in how many images each word occurs, in `MOST_COUNTED` of them, spread evenly."""
        some = annotations[:: max(1, ceil(len(annotations) / MOST_COUNTED))]
        self.cider = CiderOfOne([self.reference(a)["captions"] for a in some])

    def reward(self, prediction: Prediction, reference: Reference) -> float:
        """CIDEr of one caption, as a share of the 1000 that are the most."""
        caption = "" if prediction.malformed else strip_markup(prediction.answer)
        return self.cider(caption, reference["captions"])

    def submission(self, answers: Iterable[tuple[Annotation, Prediction]]) -> tuple[str, str]:
        """The list of image ids and captions that COCO's caption server takes."""
        rows = [{"image_id": int(a.id), "caption": prediction.answer} for a, prediction in answers]
        return ".json", json.dumps(rows)

    def evaluator(self) -> CaptionMetric:
        """COCO's caption scores."""
        return CaptionMetric()

    def baseline(self, annotations: Sequence[Annotation]) -> Iterable[Prediction]:
        """The one caption, of the first ones, that serves all images best.

        It is chosen by CIDEr on at most `MOST` of them, spread evenly: each candidate takes a millisecond an image.
        """
        some = annotations[:: max(1, ceil(len(annotations) / MOST))]
        references = [self.reference(a) for a in some]
        candidates = dict.fromkeys(a.captions[0] for a in annotations[:20])
        best, best_score = "", -1.0
        for caption in candidates:
            metric = in_this_process(CaptionMetric(metrics=("CIDEr",), tokenizer="python"))
            metric.update([self.parse(caption, a) for a in some], references)
            score = float(metric.compute()["CIDEr"])
            if score > best_score:
                best, best_score = caption, score
        for a in annotations:
            yield self.parse(best, a)
