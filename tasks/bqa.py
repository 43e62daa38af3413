"""BQA: a question about the object in a box, or which of four boxes answers the question.

    "Look at [104, 250, 396, 541]. How many of these are there?" -> "The answer is 4."
    "Look at (A) [..] (B) [..] (C) [..] (D) [..]. Which hat is red?" -> "[104, 250, 396, 541]", the chosen box

LookTwice-QA and LocalQA as in PQA; Visual7W, https://ai.stanford.edu/~yukez/visual7w, arXiv:1511.03416: an annotation
with several boxes. Its candidates are shuffled by the annotation's id, since the order of the file may tell something.
"""

import random
from collections.abc import Sequence

import numpy as np

from tasks.pqa import PQA
from vista.data import Annotation, Box, InputError, Prediction, Reference, size_of
from vista.decoding.grammar import Choice, Grammar
from vista.metrics.bqa import BQAMetric
from vista.metrics.visual7w import chosen_candidate
from vista.task import letter_options


class BQA(PQA):
    """Question and box to a word or a number; question and four boxes to one of them."""

    name = "bqa"
    datasets = frozenset({"looktwice", "localqa", "visual7w"})
    fields = frozenset({"question", "boxes", "label"})
    headline = "accuracy"
    baseline_name = "majority; 1/4"
    kind = "box"

    def regroup(self, annotations: Sequence[Annotation]) -> list[Annotation]:
        """The same; an error where an image size is missing (Visual7W has none without Visual Genome's list)."""
        if lacking := [a.id for a in annotations if not a.sizes]:
            raise InputError(
                f"task {self.name} needs image sizes, but {len(lacking)} annotations have none (the first is "
                f"{lacking[0]}); put Visual Genome's image_data.json below the data root"
            )
        return list(annotations)

    def values(
        self, annotation: Annotation, rng: np.random.Generator | None = None
    ) -> dict[str, str]:
        """The object, or the candidates with their letters."""
        if candidates := self._candidate_texts(annotation):
            return {"objs": letter_options(candidates)}
        return super().values(annotation, rng)

    def target(self, annotation: Annotation) -> str:
        """`The answer is 4.`, or the right box."""
        if self._candidates(annotation):
            right = annotation.boxes[int(annotation.label)]
            return self.codec.box_to_text(right, size_of(annotation))
        return super().target(annotation)

    def grammar(self, annotation: Annotation) -> Grammar:
        """A sentence that ends in any words, or one of the candidates."""
        if candidates := self._candidate_texts(annotation):
            return (Choice(tuple(candidates)),)
        return super().grammar(annotation)

    def parse(self, text: str, annotation: Annotation) -> Prediction:
        """The answer, or the candidate that the box overlaps most or the letter names."""
        prediction = super().parse(text, annotation)
        if candidates := self._candidates(annotation):
            boxes, malformed = self.codec.parse_boxes(text, size_of(annotation))
            prediction.boxes, prediction.malformed = boxes, malformed
            prediction.choice = chosen_candidate(prediction, candidates)
        return prediction

    def reference(self, annotation: Annotation) -> Reference:
        """The answer, or the candidates in the order of the prompt."""
        if candidates := self._candidates(annotation):
            right = annotation.boxes[int(annotation.label)]
            return {"boxes": candidates, "label": candidates.index(right)}
        return super().reference(annotation)

    def evaluator(self) -> BQAMetric:
        """Accuracy, by granularity where there is any."""
        return BQAMetric()

    def baseline(self, annotations: Sequence[Annotation]) -> list[Prediction]:
        """The commonest answer; of candidates a random one."""
        rng = np.random.default_rng(0)
        in_words = [a for a in annotations if not self._candidates(a)]
        commonest_answers = iter(super().baseline(in_words))
        predictions = []
        for a in annotations:
            if self._candidates(a):
                predictions.append(Prediction(choice=int(rng.integers(len(a.boxes)))))
            else:
                predictions.append(next(commonest_answers))
        return predictions

    def _candidates(self, annotation: Annotation) -> list[Box]:
        """The candidates in the order of the prompt, which depends on the id alone; none for a question on one box."""
        candidates = list(annotation.boxes) if len(annotation.boxes) > 1 else []
        # By the id, not by an rng: prompt, grammar and reference must agree.
        random.Random(annotation.id).shuffle(candidates)
        return candidates

    def _candidate_texts(self, annotation: Annotation) -> list[str]:
        """The candidates as the prompt and the answer write them."""
        candidates = self._candidates(annotation)
        return [self.codec.box_to_text(box, size_of(annotation)) for box in candidates]
