"""What a row may look at where layers look back over a window only: its own tokens are counted, not its padding.

    Gemma 3 has five layers with a window for each without, Mistral's first release has a window in all

transformers counts columns of the cache. Rows that are not in step have padding among their tokens
(`vista/decoding/kv.py`), so that a window in columns would hold fewer of them.
"""

from typing import Any

import torch
from torch import Tensor

AttentionMask = Tensor | dict[str, Tensor]


def attention_mask(config: Any, mask: Tensor, width: int, dtype: torch.dtype) -> AttentionMask:
    """What transformers takes as `attention_mask`.

    Args:
        config: of the language model.
        mask: int (B, slots), which slots of the cache hold a token of the row.
        width: how many slots at the end ask, the last ones.
        dtype: of the hidden states.

    Returns:
        `mask` itself where no layer has a window; else float (B, 1, width, slots), 0 where a slot is looked at, or one
        of these for each type of layer.
    """
    windows = _windows(config)
    if not any(windows.values()):
        return mask
    masks = {}
    for kind, window in windows.items():
        seen = _seen(mask, width, window)
        nothing = torch.full(seen.shape, torch.finfo(dtype).min, dtype=dtype, device=mask.device)
        masks[kind] = nothing.masked_fill(seen, 0)
    return masks if len(masks) > 1 else masks.popitem()[1]


def _windows(config: Any) -> dict[str, int | None]:
    """By type of layer, how many tokens it looks back over, itself included; None: over all."""
    size = getattr(config, "sliding_window", None)
    kinds = getattr(config, "layer_types", None)
    if not kinds:
        return {"": size}
    return {kind: size if "sliding" in kind else None for kind in kinds}


def _seen(mask: Tensor, width: int, window: int | None) -> Tensor:
    """Bool (B, 1, width, slots): which slots each of the last ones looks at."""
    slots = mask.shape[1]
    order = torch.arange(slots, device=mask.device)
    asking = order[-width:, None]
    seen = mask.bool()[:, None] & (order <= asking)  # (B, width, slots)
    if window is not None:
        count = mask.cumsum(1)
        seen &= count[:, -width:, None] - count[:, None] < window
    # Padding looks at itself, since attention to nothing is no number.
    seen |= order == asking
    return seen[:, None]
