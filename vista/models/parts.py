"""The image encoder and the QFormer of VistaLLM: transformers' own modules, built from explicit sizes.

Each class only writes the configuration that its parent wants, so names of parameters and forward passes are
transformers'. Defaults are the tiny size; `configs/sizes/vicuna_7b.yaml` holds the paper's.
"""

from pathlib import Path

import torch
from transformers.models.instructblip.configuration_instructblip import (
    InstructBlipQFormerConfig,
    InstructBlipVisionConfig,
)
from transformers.models.instructblip.modeling_instructblip import (
    InstructBlipQFormerModel,
    InstructBlipVisionModel,
)

from vista.models.initialize import grid_sinusoids, initialize
from vista.models.weights import load_part


class Encoder(InstructBlipVisionModel):
    """The image encoder: the ViT of EVA-CLIP as InstructBLIP uses it (Section 3.1, "Image Encoder")."""

    def __init__(
        self,
        image_size: int = 96,
        patch_size: int = 8,
        hidden_size: int = 128,
        num_layers: int = 3,
        num_heads: int = 4,
        mlp_size: int = 384,
        weights: Path | None = None,
    ) -> None:
        """Build the encoder.

        Args:
            image_size: side S of the square input in pixels.
            patch_size: side of a patch in pixels.
            hidden_size: width D of the patch tokens.
            num_layers: transformer layers.
            num_heads: attention heads.
            mlp_size: width of the hidden layer of each MLP.
            weights: safetensors file or folder to start from; none: random.
        """
        config = InstructBlipVisionConfig(
            image_size=image_size,
            patch_size=patch_size,
            hidden_size=hidden_size,
            num_hidden_layers=num_layers,
            num_attention_heads=num_heads,
            intermediate_size=mlp_size,
        )
        super().__init__(config)
        if weights is not None:
            load_part(self, weights, "vision_model.")
            return
        initialize(self, hidden_size)
        with torch.no_grad():
            self.embeddings.class_embedding.normal_(std=hidden_size**-0.5)
            self.embeddings.position_embedding.zero_()
            self.embeddings.position_embedding[0, 1:] = 0.5 * grid_sinusoids(
                image_size // patch_size, hidden_size
            )


class QFormer(InstructBlipQFormerModel):
    """The instruction-guided image tokenizer (Section 3.1): queries attend to the image, guided by the instruction."""

    def __init__(
        self,
        num_queries: int = 8,
        hidden_size: int = 128,
        num_layers: int = 2,
        num_heads: int = 4,
        mlp_size: int = 384,
        cross_attention_every: int = 1,
        encoder_hidden_size: int = 128,
        vocab_size: int = 0,
        dropout: float = 0.0,
        max_positions: int = 512,
        weights: Path | None = None,
    ) -> None:
        """Build the QFormer.

        Args:
            num_queries: visual tokens L per image.
            hidden_size: width of queries and instruction tokens.
            num_layers: transformer layers.
            num_heads: attention heads.
            mlp_size: width of the hidden layer of each MLP.
            cross_attention_every: layers from one cross-attention to the next.
            encoder_hidden_size: width D of the image encoder, filled in by the command line.
            vocab_size: entries of the instruction tokenizer, filled in by the command line.
            dropout: of hidden states and attention, in training.
            max_positions: longest instruction in tokens.
            weights: safetensors file or folder to start from; none: random.
        """
        config = InstructBlipQFormerConfig(
            vocab_size=vocab_size,
            hidden_size=hidden_size,
            num_hidden_layers=num_layers,
            num_attention_heads=num_heads,
            intermediate_size=mlp_size,
            cross_attention_frequency=cross_attention_every,
            encoder_hidden_size=encoder_hidden_size,
            hidden_dropout_prob=dropout,
            attention_probs_dropout_prob=dropout,
            max_position_embeddings=max_positions,
        )
        super().__init__(config)
        self.num_queries = num_queries
        if weights is not None:
            load_part(self, weights, "qformer.")
        else:
            initialize(self, hidden_size)
