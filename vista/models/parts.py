"""The QFormer: transformers' own module, of which the class only writes the configuration.

Names of parameters and the forward pass are transformers'. Sizes are those of the folder's `config.json`, or given;
what nobody gives is the tiny size.
"""

from pathlib import Path

from transformers.models.instructblip.configuration_instructblip import InstructBlipQFormerConfig
from transformers.models.instructblip.modeling_instructblip import InstructBlipQFormerModel

from vista.data import InputError
from vista.models.config_file import Values, check_given, part_config
from vista.models.initialize import initialize
from vista.models.weights import has_weights, load_part

QFORMER = "qformer."  # prefix of its weights in a composite folder


class QFormer(InstructBlipQFormerModel):
    """The instruction-guided image tokenizer (Section 3.1): queries attend to the image, guided by the instruction."""

    def __init__(
        self,
        num_queries: int | None = None,
        hidden_size: int | None = None,
        num_layers: int | None = None,
        num_heads: int | None = None,
        mlp_size: int | None = None,
        cross_attention_every: int | None = None,
        encoder_hidden_size: int = 128,
        vocab_size: int = 0,
        dropout: float | None = None,
        max_positions: int | None = None,
        weights: Path | None = None,
    ) -> None:
        """Build the QFormer.

        Where a `config.json` describes it, that file decides: a size that is given too must be the same.

        Args:
            num_queries: visual tokens L per image; without a folder 8.
            hidden_size: width of queries and instruction tokens; without a folder 128.
            num_layers: transformer layers; without a folder 2.
            num_heads: attention heads; without a folder 4.
            mlp_size: width of the hidden layer of each MLP; without a folder 384.
            cross_attention_every: layers from one cross-attention to the next; without a folder 1.
            encoder_hidden_size: width D of the image encoder, filled in by the command line.
            vocab_size: entries of the instruction tokenizer, filled in by the command line.
            dropout: of hidden states and attention, in training; none: the folder's, without a folder 0.
            max_positions: longest instruction in tokens; without a folder 512.
            weights: safetensors file or folder to start from; none, or a folder with nothing but its `config.json`:
                random.

        Raises:
            InputError: what `config.json` says is not what is given.
        """
        given = {
            "hidden_size": hidden_size, "num_layers": num_layers, "num_heads": num_heads, "mlp_size": mlp_size,
            "cross_attention_every": cross_attention_every, "max_positions": max_positions,
        }  # fmt: skip
        sizes = {name: value for name, value in given.items() if value is not None}
        config = _described(weights, sizes) or _tiny(vocab_size, **sizes)
        config.encoder_hidden_size = encoder_hidden_size
        config.vocab_size = max(config.vocab_size, vocab_size)
        if dropout is not None:
            config.hidden_dropout_prob = config.attention_probs_dropout_prob = dropout
        super().__init__(config)
        self.num_queries = _num_queries(weights, num_queries)
        if weights is not None and has_weights(weights):
            load_part(self, weights, QFORMER)
        else:
            initialize(self, config.hidden_size)


def _described(weights: Path | None, sizes: Values) -> InstructBlipQFormerConfig | None:
    """What the folder says of a QFormer, where it says something."""
    config = part_config(weights, QFORMER) if weights is not None else None
    if weights is None or not isinstance(config, InstructBlipQFormerConfig):
        return None
    check_given(config, sizes, weights, "qformer")
    return config


def _tiny(
    vocab_size: int,
    hidden_size: int = 128,
    num_layers: int = 2,
    num_heads: int = 4,
    mlp_size: int = 384,
    cross_attention_every: int = 1,
    max_positions: int = 512,
) -> InstructBlipQFormerConfig:
    """Of the sizes that are given, the tiny one's for those that are not."""
    return InstructBlipQFormerConfig(
        vocab_size=vocab_size,
        hidden_size=hidden_size,
        num_hidden_layers=num_layers,
        num_attention_heads=num_heads,
        intermediate_size=mlp_size,
        cross_attention_frequency=cross_attention_every,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        max_position_embeddings=max_positions,
    )


def _num_queries(weights: Path | None, given: int | None) -> int:
    """Queries belong to the whole model, not to its QFormer.

    Raises:
        InputError: the file says another number than the one that is given.
    """
    whole = part_config(weights, "") if weights is not None else None
    stated: int | None = getattr(whole, "num_query_tokens", None)
    if None not in (stated, given) and stated != given:
        raise InputError(
            f"config.json of {weights} decides on sizes: num_query_tokens is {stated} there and --qformer.num_queries "
            f"is {given}; leave such settings out"
        )
    return stated or given or 8
