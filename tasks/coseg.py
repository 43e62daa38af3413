"""CoSeg: the object that several images have in common, as one mask in each of them.

    -> "The masks are [104, 250, ..., 98, 301] <msep> [] <msep> [577, 231, ..., 560, 240]."

The k-th mask belongs to the k-th image; `[]` is an empty one. PASCAL (Faktor and Irani, ICCV 2013), MSRC (Rubinstein
et al., CVPR 2013), iCoSeg (Batra et al., CVPR 2010). They have no training split: the reader
`coseg_groups` makes groups of COCO's instances for it.
"""

import re
from collections.abc import Iterable, Sequence

import numpy as np

from vista.codec.codec import Codec
from vista.data import Annotation, InputError, Mask, Prediction, Reference, Size
from vista.decoding.grammar import Grammar, Literal, Regions
from vista.geometry import decode_segmentation
from vista.metrics.coseg import CoSegMetric
from vista.metrics.evaluator import Evaluator
from vista.task import Task

_BRACKET = re.compile(r"\[[^\[\]]*\]")


class CoSeg(Task):
    """Images to one mask for each."""

    name = "coseg"
    datasets = frozenset({"coseg", "coseg_groups"})
    fields = frozenset({"segmentations", "sizes"})
    headline = "J"
    baseline_name = "whole image"
    multi_image = True
    max_new_tokens = 1536  # eight masks of 32 points

    def __init__(self, codec: Codec) -> None:
        """Keep the codec.

        Raises:
            InputError: the codec writes several brackets for one mask.
        """
        super().__init__(codec)
        if codec.multipart == "separate":
            raise InputError(
                f"task {self.name} needs one bracket for each image: codec.multipart largest or bridge"
            )

    def target(self, annotation: Annotation) -> str:
        """`The masks are [..] <msep> [..].`."""
        return f"The masks are {self.codec.masks_to_text(masks_of(annotation), keep_empty=True)}."

    def grammar(self, annotation: Annotation) -> Grammar:
        """A mask for each image."""
        return (
            Literal("The masks are"),
            self._regions(len(annotation.images)),
            Literal(".", glued=True),
        )

    def _regions(self, count: int) -> Regions:
        numbers = 2 * self.codec.num_points
        return Regions(
            numbers, separator="<msep>", count=count, empty=True, num_bins=self.codec.num_bins
        )

    def parse(self, text: str, annotation: Annotation) -> Prediction:
        """The k-th mask at the size of the k-th image."""
        masks, malformed = self._read_masks(text, annotation.sizes)
        return Prediction(text=text, masks=masks, malformed=malformed)

    def _read_masks(self, text: str, sizes: Sequence[Size]) -> tuple[list[Mask], bool]:
        """Masks of a text, each at a size of its own, and whether the text is malformed; further ones are left out."""
        brackets = _BRACKET.findall(text)
        # The form of the whole text first: brackets read one by one would not show a missing separator.
        if not brackets or self.codec.parse_masks(text, (1, 1))[1]:
            return [], True
        masks = []
        for bracket, size in zip(brackets, sizes, strict=False):
            drawn, _ = self.codec.parse_masks(bracket, size)
            masks.append(drawn[0])
        return masks, False

    def reference(self, annotation: Annotation) -> Reference:
        """The annotated masks, the class, and which images are scored."""
        extra = annotation.extra
        return {"masks": masks_of(annotation), "class": extra["class"], "count": extra["count"]}

    def evaluator(self) -> Evaluator:
        """Precision and Jaccard index."""
        return CoSegMetric()

    def baseline(self, annotations: Sequence[Annotation]) -> Iterable[Prediction]:
        """Every pixel of every image, one answer after the other: masks are large."""
        for annotation in annotations:
            yield Prediction(masks=[np.ones(size, dtype=bool) for size in annotation.sizes])


def masks_of(annotation: Annotation) -> list[Mask]:
    """The mask of each image, bool (H, W) of its own size."""
    pairs = zip(annotation.segmentations, annotation.sizes, strict=True)
    return [decode_segmentation(segmentation, size) for segmentation, size in pairs]
