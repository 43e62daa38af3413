"""A mask as COCO's run lengths; `vista.geometry.decode_segmentation` takes them back."""

from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from vista.data import Mask


def encode_mask(mask: Mask) -> dict[str, Any]:
    """A mask, bool (H, W), as COCO's compressed RLE, its counts as text."""
    # pycocotools reads masks column by column.
    rle = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": list(mask.shape), "counts": rle["counts"].decode("ascii")}
