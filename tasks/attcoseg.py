"""AttCoSeg: which two images of a group show an object with the same attributes, and where is it?

    -> "The images are 2 and 3. The masks are [104, 250, ..., 98, 301] <msep> [577, 231, ..., 560, 240]."

Sec. 4 of the paper. Its list is not public; the reader `attcoseg` builds one of group-wise RES (Wu et al., ICCV 2023).
"""

import re
from collections.abc import Sequence
from itertools import combinations

import numpy as np

from tasks.coseg import CoSeg, masks_of
from vista.data import Annotation, InputError, Prediction, Reference
from vista.decoding.grammar import Choice, Grammar, Literal
from vista.metrics.attcoseg import AttCoSegMetric, pair_overlap

_NUMBER = re.compile("[0-9]{1,9}")


class AttCoSeg(CoSeg):
    """Images to the numbers of two of them and a mask for each."""

    name = "attcoseg"
    datasets = frozenset({"attcoseg"})
    headline = "pair_acc"
    baseline_name = "1 / pairs"
    multi_image = True

    def regroup(self, annotations: Sequence[Annotation]) -> list[Annotation]:
        """Those groups in which exactly two images show the object.

        Raises:
            InputError: there are none.
        """
        groups = [a for a in annotations if len(pair_of(a)) == 2 < len(a.images)]
        if annotations and not groups:
            raise InputError(
                f"task {self.name} needs groups of three images or more, two of them with a mask"
            )
        return groups

    def target(self, annotation: Annotation) -> str:
        """`The images are 2 and 3. The masks are [..] <msep> [..].`."""
        pair, masks = pair_of(annotation), masks_of(annotation)
        text = self.codec.masks_to_text([masks[number - 1] for number in pair], keep_empty=True)
        return f"{_sentence(pair)} The masks are {text}."

    def grammar(self, annotation: Annotation) -> Grammar:
        """Any pair, and two masks."""
        pairs = combinations(range(1, len(annotation.images) + 1), 2)
        start = Choice(tuple(f"{_sentence(pair)} The masks are" for pair in pairs))
        return start, self._regions(2), Literal(".", glued=True)

    def parse(self, text: str, annotation: Annotation) -> Prediction:
        """The numbers before the masks; the k-th mask at the size of the image that the k-th number names.

        Without masks, or with unreadable ones, the pair alone is read.
        """
        numbers = image_numbers(text)
        # A mask whose number is beyond the group is scored nowhere; any size will do for it.
        known = range(1, len(annotation.sizes) + 1)
        sizes = [annotation.sizes[number - 1 if number in known else 0] for number in numbers]
        masks, _ = self._read_masks(text, sizes)
        answer = " ".join(map(str, numbers))
        return Prediction(
            text=text, answer=answer, numbers=numbers, masks=masks, malformed=not numbers
        )

    def reference(self, annotation: Annotation) -> Reference:
        """The two numbers and the mask of each image, empty in the others."""
        return {"pair": pair_of(annotation), "masks": masks_of(annotation)}

    def evaluator(self) -> AttCoSegMetric:
        """Accuracy of the pair, precision and Jaccard index."""
        return AttCoSegMetric()

    def reward(self, prediction: Prediction, reference: Reference) -> float:
        """The mean of the pair, right or wrong, and J of the masks."""
        if prediction.malformed:
            return 0.0
        numbers, pair = prediction.numbers, reference["pair"]
        _, jaccard = pair_overlap(numbers, prediction.masks, pair, reference["masks"])
        return ((set(numbers) == set(pair)) + jaccard) / 2

    def baseline(self, annotations: Sequence[Annotation]) -> list[Prediction]:
        """A random pair without masks."""
        rng = np.random.default_rng(0)
        predictions = []
        for annotation in annotations:
            pair = rng.choice(len(annotation.images), size=2, replace=False) + 1  # int (2,)
            predictions.append(Prediction(numbers=pair.tolist()))
        return predictions


def pair_of(annotation: Annotation) -> list[int]:
    """Numbers, from 1, of the images that show the object."""
    return [
        number for number, segmentation in enumerate(annotation.segmentations, 1) if segmentation
    ]


def image_numbers(text: str) -> list[int]:
    """The numbers before the masks, as written: `"The images are 3 and 1. The masks are [..."` -> `[3, 1]`."""
    head = text.split("[")[0]
    # Masks without their brackets are numbers too.
    found = _NUMBER.findall(head.split("masks are")[0]) or _NUMBER.findall(head)
    return [int(number) for number in found]


def _sentence(pair: Sequence[int]) -> str:
    return f"The images are {pair[0]} and {pair[1]}."
