"""The learning-rate schedule: linear warm-up, then a cosine to zero (Section 5.2: 3 % warm-up).

As `transformers.get_cosine_schedule_with_warmup`, whose first step has a rate of zero and teaches nothing.
"""

import math
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


def warmup_cosine(optimizer: Optimizer, num_steps: int, warmup_share: float = 0.03) -> Any:
    """An optimizer and its schedule in the form that Lightning takes.

    Args:
        optimizer: at its peak learning rate.
        num_steps: optimizer steps of the whole run.
        warmup_share: share of these in which the rate rises from zero.
    """
    warmup = max(1, round(num_steps * warmup_share))

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        progress = min(1.0, (step - warmup) / max(1, num_steps - warmup))
        return 0.5 * (1 + math.cos(math.pi * progress))

    schedule = {"scheduler": LambdaLR(optimizer, factor), "interval": "step"}
    return {"optimizer": optimizer, "lr_scheduler": schedule}
