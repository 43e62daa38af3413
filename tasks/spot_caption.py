"""Spot captioning: a caption with the box of every object that it names.

    -> "Two men [104, 250, 396, 541] <bsep> [577, 231, 802, 560] in green shirts [110, 300, 390, 420] are standing ."

Flickr30k Entities, https://github.com/BryanPlummer/flickr30k_entities, arXiv:1505.04870.
"""

import re
from collections.abc import Sequence

from vista.data import Annotation, Box, Prediction, Reference, size_of
from vista.decoding.grammar import Grammar, TextWithBoxes
from vista.metrics.caption import strip_markup
from vista.metrics.spot_caption import SpotCaptionMetric, spotted_phrases
from vista.task import Task

_BRACKET = re.compile(r"\[[^\]]*\]")


class SpotCaption(Task):
    """Image to a caption with boxes."""

    name = "spot_caption"
    datasets = frozenset({"flickr30k_entities"})
    fields = frozenset({"captions", "boxes", "sizes"})
    headline = "recall_at_1"
    baseline_name = "-"

    def target(self, annotation: Annotation) -> str:
        """The caption, each phrase followed by its boxes."""
        caption, text, end = annotation.captions[0], "", 0
        for phrase in annotation.extra["phrases"]:
            boxes = [annotation.boxes[i] for i in phrase["boxes"]]
            written = self.codec.boxes_to_text(boxes, size_of(annotation))
            text += f"{caption[end : phrase['end']]} {written}"
            end = phrase["end"]
        return " ".join((text + caption[end:]).split())

    def grammar(self, annotation: Annotation) -> Grammar:
        """Any words, with boxes among them."""
        return (TextWithBoxes(self.codec.num_bins),)

    def parse(self, text: str, annotation: Annotation) -> Prediction:
        """The caption without its boxes, and the boxes in order, xyxy in pixels; bare numbers are words."""
        boxes: list[Box] = []
        malformed = False
        if "[" in text or "]" in text:
            boxes, malformed = self.codec.parse_boxes(text, size_of(annotation))
        return Prediction(
            text=text,
            malformed=malformed,
            answer=strip_markup(text),
            boxes=boxes,
            phrases=words_before_boxes(text),
        )

    def reference(self, annotation: Annotation) -> Reference:
        """The caption, and its phrases with their boxes."""
        phrases = []
        for phrase in annotation.extra["phrases"]:
            boxes = [annotation.boxes[i] for i in phrase["boxes"]]
            phrases.append(phrase | {"boxes": boxes})
        return {"captions": list(annotation.captions), "phrases": phrases}

    def evaluator(self) -> SpotCaptionMetric:
        """Recall of the phrases' boxes, and caption scores."""
        return SpotCaptionMetric()

    def reward(self, prediction: Prediction, reference: Reference) -> float:
        """F1 of the phrases whose box is right, among all boxes and all phrases: recall alone would pay any box."""
        phrases = sum(bool(phrase["boxes"]) for phrase in reference["phrases"])
        if prediction.malformed or not prediction.boxes or not phrases:
            return 0.0
        spotted = len(spotted_phrases(prediction.phrases, prediction.boxes))
        hits = phrases * super().reward(prediction, reference)
        return min(1.0, 2 * hits / (spotted + phrases))

    def baseline(self, annotations: Sequence[Annotation]) -> list[Prediction]:
        """Empty captions."""
        return [Prediction() for _ in annotations]


def words_before_boxes(text: str) -> list[str]:
    """The text between each bracket and the one before: `"A man [..] <bsep> [..] runs"` -> `["A man ", " <bsep> "]`."""
    return _BRACKET.split(text)[:-1]
