"""Stage 0: a frozen encoder for the tiny size.

The paper freezes a pretrained EVA-CLIP. The tiny encoder gets its like from instances of the generated world: for every
patch it learns the category of the object that covers most of it, that object's box and the object's pixels inside the
patch. The heads are thrown away, the encoder is saved as safetensors and frozen from then on.
"""

from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule
from safetensors.torch import save_file
from torch import Tensor, nn

from vista.models.parts import Encoder
from vista.schedule import warmup_cosine


class EncoderPretraining(LightningModule):
    """Dense supervision of an encoder's patch tokens."""

    def __init__(
        self,
        encoder: Encoder,
        num_categories: int = 24,
        learning_rate: float = 1.5e-3,
        weight_decay: float = 0.05,
        warmup_share: float = 0.02,
        out: Path = Path("encoder.safetensors"),
    ) -> None:
        """Attach the heads.

        Args:
            encoder: the encoder to train.
            num_categories: categories of the instances file; one more class stands for background.
            learning_rate: peak of the schedule.
            weight_decay: of AdamW.
            warmup_share: share of all steps in which the learning rate rises.
            out: where the encoder is written when training ends.
        """
        super().__init__()
        config: Any = encoder.config
        width, patch = config.hidden_size, config.patch_size
        self.encoder = encoder
        self.category_head = nn.Linear(width, num_categories + 1)
        self.box_head = nn.Linear(width, 4)
        self.pixel_head = nn.Linear(width, patch * patch)
        self.learning_rate, self.weight_decay, self.warmup_share = learning_rate, weight_decay, warmup_share
        self.out = out

    def losses(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Losses and measures of one batch.

        Args:
            batch: `pixel_values` float (B, 3, S, S); `category` int (B, P), 0 for background; `box` float (B, P, 4),
                xyxy as shares of the image; `pixels` float (B, P, patch * patch) in 0..1.

        Returns:
            `loss`; `category_accuracy` over object patches; `box_error` in shares of the image's side.
        """
        tokens = self.encoder(pixel_values=batch["pixel_values"]).last_hidden_state[:, 1:]  # without the class token
        objects = batch["category"] > 0
        logits = self.category_head(tokens)
        nll = nn.functional.cross_entropy(logits.transpose(1, 2), batch["category"], reduction="none")
        category = nll[objects].mean() + nll[~objects].mean()  # objects cover few patches: both count alike
        box_error = (self.box_head(tokens)[objects].sigmoid() - batch["box"][objects]).abs().mean()
        pixels = nn.functional.binary_cross_entropy_with_logits(self.pixel_head(tokens), batch["pixels"])
        accuracy = (logits.argmax(2)[objects] == batch["category"][objects]).float().mean()
        loss = category + 5.0 * box_error + pixels
        return {"loss": loss, "category_accuracy": accuracy, "box_error": box_error, "pixel_loss": pixels}

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """One step."""
        losses = self.losses(batch)
        self.log_dict({f"train/{k}": v for k, v in losses.items()}, prog_bar=True)
        return losses["loss"]

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Measures on held-out scenes."""
        self.log_dict({f"val/{k}": v for k, v in self.losses(batch).items()}, batch_size=len(batch["category"]))

    def on_train_end(self) -> None:
        """Write the encoder, and nothing else."""
        if not self.trainer.is_global_zero:
            return
        self.out.parent.mkdir(parents=True, exist_ok=True)
        save_file({k: v.contiguous() for k, v in self.encoder.state_dict().items()}, self.out)

    def configure_optimizers(self) -> Any:
        """AdamW under a cosine with warm-up."""
        optimizer = torch.optim.AdamW(
            self.parameters(), lr=self.learning_rate, betas=(0.9, 0.98), weight_decay=self.weight_decay
        )
        return warmup_cosine(optimizer, int(self.trainer.estimated_stepping_batches), self.warmup_share)
