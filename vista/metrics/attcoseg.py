"""AttCoSeg: which two images of a group share an object, and where is it?

    "The images are 2 and 3. The masks are [..] <msep> [..]." -> pair {2, 3}, the k-th mask for the k-th number

The paper (arXiv:2312.12423) gives no metric; this definition is ours. P and J as in `vista.metrics.coseg`, over the
images that are in the true or the predicted pair.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from vista.data import Mask, Prediction, Reference
from vista.metrics.coseg import image_overlap, precision_and_jaccard
from vista.metrics.evaluator import Evaluator, percent
from vista.metrics.overlap import union_mask


def pair_overlap(
    numbers: Sequence[int],
    masks: Sequence[Mask],
    pair: Sequence[int],
    truth: Sequence[Mask],
) -> tuple[float, float]:
    """P and J of one group, over the images that are true or predicted.

    Args:
        numbers: predicted image numbers from 1, as written; repeated ones collapse (their masks are joined), those
            beyond the group are ignored with their mask.
        masks: bool (H, W), the k-th for the k-th number; missing ones are empty.
        pair: true image numbers from 1.
        truth: bool (H, W) for each image of the group, empty outside the pair.

    Returns:
        two values 0..1.
    """
    drawn: dict[int, list[Mask]] = {
        number: [] for number in (*pair, *numbers) if 1 <= number <= len(truth)
    }
    # Numbers beyond the group keep their place in this list, so that later masks meet their own number.
    for number, mask in zip(numbers, masks, strict=False):
        if number in drawn:
            drawn[number].append(mask)
    values = []
    for number, parts in drawn.items():
        true = truth[number - 1]
        mask = union_mask(parts, true.shape)
        values.append(precision_and_jaccard(image_overlap(mask, true)))
    precision, jaccard = np.mean(values, axis=0)
    return float(precision), float(jaccard)


class AttCoSegMetric(Evaluator):
    """Accuracy of the pair, P and J. Reference: `{"pair": [i, j], "masks": [bool (H, W) per image]}`, i and j from 1.

    Prediction: `numbers` of images, and `masks`, one for each number. A malformed answer names no image. One without
    masks has its pair and empty masks, and counts as a parse failure. Keys: `pair_acc`, `P`, `J`.
    """

    def __init__(self) -> None:
        super().__init__("pair", "precision", "jaccard")

    def sample(self, pred: Prediction, ref: Reference) -> dict[str, float]:
        """The pair, P and J of one group."""
        numbers = [] if pred.malformed else pred.numbers
        precision, jaccard = pair_overlap(numbers, pred.masks, ref["pair"], ref["masks"])
        return {
            "pair": set(numbers) == set(ref["pair"]),
            "precision": precision,
            "jaccard": jaccard,
            "parse_failures": not numbers or not pred.masks,
        }

    def scores(self, total: Mapping[str, float]) -> dict[str, float]:
        """Means over groups."""
        keys = {"pair_acc": "pair", "P": "precision", "J": "jaccard"}
        return {key: percent(total[name], total["n"]) for key, name in keys.items()}
