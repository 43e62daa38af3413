"""What a family wrote -> our own form, so that one reader and one score serve all models.

    "<|box_start|>(104,250),(396,541)<|box_end|>"       -> "[10400, 25000, 39600, 54100]"

Regions are written in `BINS` bins a side, so fine that nothing of another grid is lost; `score` reads them by the
record's `bins`.
"""

import re
from collections.abc import Sequence

from vista.codec.codec import Codec
from vista.codec.masks import MASK_SEPARATOR, bracket
from vista.data import Annotation, Box, Size, size_of
from vista.others.asking import is_choice_of_boxes, kind_of
from vista.others.family import Family, Polygon
from vista.others.json_places import LONGEST
from vista.predictions import in_bins
from vista.task import Task

BINS = 100_001
MALFORMED = "[no answer of the family's form]"  # a bracket that no task of ours can read
_BRACKETS = str.maketrans("[]", "()")


class Translator:
    """Reads the answers of one family to the questions of one task."""

    def __init__(self, family: Family, task: Task, controls: Sequence[str] = ()) -> None:
        """Keep the parts.

        Args:
            family: how places are written.
            task: what was asked.
            controls: tokens that are no words of an answer, such as `<|im_end|>`.
        """
        self.family, self.task = family, in_bins(task, BINS)
        self.codec: Codec = self.task.codec
        tokens = sorted(filter(None, controls), key=len, reverse=True)
        self.controls = re.compile("|".join(map(re.escape, tokens)) or "(?!)")

    def __call__(self, raw: str, annotation: Annotation) -> str:
        """An answer in our form; one that breaks the family's form becomes one that breaks ours.

        Args:
            raw: what the model wrote, special tokens included; it may be anything.
            annotation: what was asked about.
        """
        if len(raw) > LONGEST:
            return MALFORMED
        grammar = self.task.grammar(annotation)
        kind = kind_of(grammar, len(annotation.images))
        if kind == "words":
            choice = is_choice_of_boxes(grammar)
            return self._chosen(raw, annotation) if choice else self.words(raw)
        written = self._places(kind, raw, annotation)
        return MALFORMED if written is None else written

    def words(self, raw: str) -> str:
        """An answer without its control tokens."""
        return self.controls.sub("", raw).strip()

    def _chosen(self, raw: str, annotation: Annotation) -> str:
        """A letter, or one of the boxes."""
        boxes = self.family.read_boxes(raw, size_of(annotation))
        return self._boxes(boxes, size_of(annotation)) if boxes else self.words(raw)

    def _places(self, kind: str, raw: str, annotation: Annotation) -> str | None:
        if kind in ("groups", "pair"):
            return self._groups(raw, annotation.sizes, kind == "pair")
        size = size_of(annotation)
        if kind == "spots":
            return self._spots(raw, size)
        if kind == "points":
            points = self.family.read_points(raw, size)
            written = [self.codec.point_to_text(point, size) for point in points or ()]
            return None if points is None else " ".join(written)
        if kind in ("box", "boxes"):
            boxes = self.family.read_boxes(raw, size)
            return None if boxes is None else self._boxes(boxes, size)
        polygons = self.family.read_polygons(raw, size)
        return None if polygons is None else self._polygons(polygons, size)

    def _boxes(self, boxes: Sequence[Box], size: Size) -> str:
        return self.codec.boxes_to_text(boxes, size, sort=False)

    def _polygons(self, polygons: Sequence[Polygon], size: Size) -> str:
        return MASK_SEPARATOR.join(self._outline(polygon, size) for polygon in polygons)

    def _outline(self, polygon: Polygon, size: Size) -> str:
        points = [self.codec.point_to_text(point, size)[1:-1] for point in polygon]
        return f"[{', '.join(points)}]"

    def _spots(self, raw: str, size: Size) -> str | None:
        pieces = self.family.read_spots(raw, size)
        if pieces is None:
            return None
        written = []
        for piece in pieces:
            words = isinstance(piece, str)
            written.append(
                self.words(piece).translate(_BRACKETS) if words else self._boxes(piece, size)  # type: ignore[arg-type]
            )
        return " ".join(" ".join(written).split())

    def _groups(self, raw: str, sizes: Sequence[Size], pair: bool) -> str | None:
        groups = self.family.read_groups(raw, sizes)
        if groups is None:
            return None
        numbers = sorted(groups) if pair else range(len(sizes))
        # One bracket an image: of several parts the largest is what our own form can say.
        outlines = [
            self._outline(max(groups[k], key=_area), sizes[k]) if k in groups else bracket(())
            for k in numbers
        ]
        masks = f"The masks are {MASK_SEPARATOR.join(outlines)}."
        named = " and ".join(str(k + 1) for k in numbers)
        return f"The images are {named}. {masks}" if pair else masks


def _area(polygon: Polygon) -> float:
    """Twice the area that an outline encloses."""
    following = [*polygon[1:], polygon[0]]
    return abs(sum(a[0] * b[1] - a[1] * b[0] for a, b in zip(polygon, following, strict=True)))
