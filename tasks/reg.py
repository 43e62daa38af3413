"""REG: an expression for a region that is given as a box, a point or a mask.

    "Describe [104, 250, 396, 541]." -> "the red circle on the left"

RefCOCO, RefCOCO+, RefCOCOg as in REC; Visual Genome, https://homes.cs.washington.edu/~ranjay/visualgenome.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tasks.caption import Caption
from vista.codec.regions import region_text
from vista.data import Annotation
from vista.metrics.caption import CaptionMetric


class REG(Caption):
    """Region to an expression; any of the region's expressions is a target."""

    name = "reg"
    datasets = frozenset({"refcoco", "refcocop", "refcocog", "visual_genome"})
    fields = frozenset({"expression", "boxes", "sizes"})

    def regroup(self, annotations: Sequence[Annotation]) -> list[Annotation]:
        """One annotation per region, with all its expressions as `captions`."""
        regions: dict[tuple[object, ...], list[Annotation]] = defaultdict(list)
        for a in annotations:
            regions[a.images, a.boxes].append(a)
        merged = []
        for same_region in regions.values():
            expressions = tuple(a.expression for a in same_region)
            merged.append(replace(same_region[0], captions=expressions))
        return merged

    def values(
        self, annotation: Annotation, rng: np.random.Generator | None = None
    ) -> dict[str, str]:
        """The region: its box in evaluation."""
        return {"objs": region_text(annotation, self.codec, "box", rng)}

    def evaluator(self) -> CaptionMetric:
        """CIDEr and METEOR against all expressions of the region."""
        return CaptionMetric(metrics=("CIDEr", "METEOR"))
