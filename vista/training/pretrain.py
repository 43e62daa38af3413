"""Stage 0: a frozen encoder for the tiny size.

The paper freezes a pretrained EVA-CLIP. The tiny encoder gets its like from instances of the generated world: for every
patch it learns the object that covers most of it: the words of its category ("red circle" is red and a circle) and its
box. The heads are thrown away, the encoder is saved as safetensors and frozen from then on.

Words rather than categories, and waves of a box rather than its numbers, because a frozen encoder serves only what
stands out in its tokens: one that was taught 24 categories and plain numbers knew no shape (docs/tiny_model.md).
"""

import math
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule
from safetensors.torch import save
from torch import Tensor, nn
from transformers import PreTrainedModel

from vista.models.config_file import config_text
from vista.models.towers import patches_of, width_of
from vista.training.schedule import warmup_cosine

WAVES = (0.25, 0.5, 1.0, 2.0)  # periods in the side of an image; the first one alone says where


def box_waves(box: Tensor) -> Tensor:
    """Sines and cosines of the edges of a box.

    Args:
        box: float (..., 4), shares of the image's side.

    Returns:
        float (..., 4 * 2 * len(WAVES)) in -1..1: for each edge all sines, then all cosines.
    """
    angles = 2 * math.pi * box[..., None] * torch.tensor(WAVES, device=box.device)
    return torch.cat([angles.sin(), angles.cos()], dim=-1).flatten(-2)


def box_of_waves(waves: Tensor) -> Tensor:
    """The inverse of `box_waves`, read from the longest wave; float (..., 4)."""
    sines, cosines = waves.unflatten(-1, (4, 2, len(WAVES)))[..., 0].unbind(-1)
    return torch.atan2(sines, cosines) / (2 * math.pi * WAVES[0])


class EncoderPretraining(LightningModule):
    """Dense supervision of an encoder's patch tokens."""

    def __init__(
        self,
        encoder: PreTrainedModel,
        num_words: int = 10,
        learning_rate: float = 1.5e-3,
        weight_decay: float = 0.05,
        warmup_share: float = 0.02,
        out: Path = Path("encoder.safetensors"),
    ) -> None:
        """Attach the heads.

        Args:
            encoder: the encoder to train.
            num_words: different words in the names of the categories of the instances file.
            learning_rate: peak of the schedule.
            weight_decay: of AdamW.
            warmup_share: share of all steps in which the learning rate rises.
            out: where the encoder is written when training ends.
        """
        super().__init__()
        width = width_of(encoder)
        self.encoder = encoder.train()  # a CNN that starts from nothing has no statistics to keep
        self.word_head = nn.Linear(width, num_words)
        self.box_head = nn.Linear(width, 4 * 2 * len(WAVES))
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.warmup_share = warmup_share
        self.out = out

    def losses(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Losses and measures of one batch.

        Args:
            batch: `pixel_values` float (B, 3, S, S); `words` float (B, P, W), 1 for each word of the category, all 0
                for background; `box` float (B, P, 4), xyxy as shares of the image.

        Returns:
            `loss`; `category_accuracy`, the share of object patches whose words are all right; `box_error` in shares of
            the image's side.
        """
        hidden = self.encoder(pixel_values=batch["pixel_values"]).last_hidden_state
        tokens = patches_of(self.encoder, hidden)  # (B, P, D)
        words = batch["words"]
        objects = words.any(2)  # bool (B, P)
        logits = self.word_head(tokens)  # (B, P, W)
        nll = nn.functional.binary_cross_entropy_with_logits(logits, words, reduction="none").sum(2)
        waves, target = self.box_head(tokens)[objects], batch["box"][objects]
        box = nn.functional.mse_loss(waves, box_waves(target))
        right = ((logits > 0) == (words > 0)).all(2)  # bool (B, P)
        return {
            # objects cover few patches: they and the background count alike
            "loss": nll[objects].mean() + nll[~objects].mean() + 10.0 * box,
            "category_accuracy": right[objects].float().mean(),
            "box_error": (box_of_waves(waves) - target).abs().mean(),
        }

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """One step."""
        losses = self.losses(batch)
        self.log_dict({f"train/{k}": v for k, v in losses.items()}, prog_bar=True)
        return losses["loss"]

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Measures on held-out scenes."""
        losses = {f"val/{name}": value for name, value in self.losses(batch).items()}
        self.log_dict(losses, batch_size=len(batch["words"]))

    def on_train_end(self) -> None:
        """Write the encoder, and nothing else."""
        if not self.trainer.is_global_zero:
            return
        self.out.parent.mkdir(parents=True, exist_ok=True)
        weights = {name: value.contiguous() for name, value in self.encoder.state_dict().items()}
        self.out.write_bytes(save(weights, {"config": config_text(self.encoder)}))

    def configure_optimizers(self) -> Any:
        """AdamW under a cosine with warm-up."""
        optimizer = torch.optim.AdamW(
            self.parameters(),
            lr=self.learning_rate,
            betas=(0.9, 0.98),
            weight_decay=self.weight_decay,
        )
        steps = int(self.trainer.estimated_stepping_batches)
        return warmup_cosine(optimizer, steps, self.warmup_share)
