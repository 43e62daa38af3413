"""CIDEr of one caption, against how often words occur in a training set.

    CiderOfOne([["a red circle"], ["a blue circle"]])("a red circle", ["a red circle"])

Words that every image has, as `a` and `circle` here, weigh nothing. The score of a whole set takes its document
frequencies from that set (`vista/metrics/caption.py`): one caption has none.
"""

import math
from collections.abc import Sequence

from pycocoevalcap.cider.cider_scorer import CiderScorer, cook_refs, cook_test

from vista.metrics.ptb import tokenize_python


class CiderOfOne(CiderScorer):  # type: ignore[misc]
    """CIDEr of single captions as a share of its most, which is 10 to the library."""

    def __init__(self, references: Sequence[Sequence[str]] = ()) -> None:
        """Count in how many images each n-gram occurs.

        Args:
            references: the captions of each image of a training set; none: all n-grams weigh alike.
        """
        super().__init__()
        # The logarithm of one image is no weight.
        self.log_images = math.log(len(references)) if len(references) > 1 else 1.0
        for captions in references:
            self.crefs.append(cook_refs(tokenize_python(captions)))
        self.compute_doc_freq()

    # The library would count the images that are scored.
    ref_len = property(lambda self: self.log_images, lambda self, value: None)

    def __call__(self, caption: str, references: Sequence[str]) -> float:
        """The score of one caption, 0..1; an empty one has 0.

        Args:
            caption: as it is written.
            references: the human captions of the same image.
        """
        words, *cut = tokenize_python([caption, *references])
        if not words:
            return 0.0
        self.ctest, self.crefs = [cook_test(words)], [cook_refs(cut)]
        (score,) = self.compute_cider()
        return min(1.0, float(score) / 10)
