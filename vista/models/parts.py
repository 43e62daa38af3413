"""The QFormer: transformers' own module, of which the class only writes the configuration.

Names of parameters and the forward pass are transformers'. Sizes are those of the folder's `config.json`, or given;
what nobody gives is the tiny size.
"""

from pathlib import Path

from transformers import PreTrainedConfig
from transformers.models.instructblip.configuration_instructblip import InstructBlipQFormerConfig
from transformers.models.instructblip.modeling_instructblip import InstructBlipQFormerModel

from vista.data import InputError
from vista.models.config_check import check_given
from vista.models.config_file import Values, described, part_config
from vista.models.initialize import initialize
from vista.models.projector import become_projector
from vista.models.weights import load_part

# What a BERT's layers share with those of a QFormer.
OF_BERT = (
    "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "hidden_act",
    "hidden_dropout_prob", "attention_probs_dropout_prob", "max_position_embeddings", "layer_norm_eps",
)  # fmt: skip
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
        architecture: Path | None = None,
        projector: bool = False,
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
            weights: safetensors file or folder to start from; none: random.
            architecture: folder whose `config.json` describes the QFormer, in the place of the one beside the weights;
                it needs no weights.
            projector: in the place of all layers one linear map of each token of the encoder, of which there must be
                `num_queries`; the instruction is not read. The paper's ablation without tokenizer (Table 9).

        Raises:
            InputError: what `config.json` says is not what is given, or describes no QFormer; or it describes one, or
                weights are given, where there is a projector.
            MissingFileError: `architecture` holds no `config.json`, or `weights` no weights.
        """
        if projector:
            check_no_folder(architecture or weights)
        given = {
            "hidden_size": hidden_size, "num_layers": num_layers, "num_heads": num_heads, "mlp_size": mlp_size,
            "cross_attention_every": cross_attention_every, "max_positions": max_positions,
        }  # fmt: skip
        sizes = {name: value for name, value in given.items() if value is not None}
        folder = architecture or weights
        config = described(weights, architecture, QFORMER)
        config = _tiny(vocab_size, **sizes) if config is None else _checked(config, sizes, folder)
        config.encoder_hidden_size = encoder_hidden_size
        config.vocab_size = max(config.vocab_size, vocab_size)
        if dropout is not None:
            config.hidden_dropout_prob = config.attention_probs_dropout_prob = dropout
        if projector:
            config.num_hidden_layers = 0
        super().__init__(config)
        if projector:
            become_projector(self, encoder_hidden_size)
        self.num_queries = _num_queries(folder, num_queries)
        if weights is not None:
            load_part(self, weights, QFORMER)
        else:
            initialize(self, config.hidden_size)


def check_no_folder(folder: Path | None) -> None:
    """Refuse weights where there is nothing of a QFormer that could have them.

    Raises:
        InputError: a folder is named.
    """
    if folder is not None:
        raise InputError(
            f"--qformer.projector takes no weights, and {folder} is named; set it to null"
        )


def _checked(
    config: PreTrainedConfig, sizes: Values, folder: Path | None
) -> InstructBlipQFormerConfig:
    """What a folder says of a QFormer, or of a BERT that is copied into one, where it says what is given."""
    if config.model_type == "bert":
        every = sizes.pop("cross_attention_every", 1)  # of which a BERT knows nothing
        known = {name: getattr(config, name) for name in OF_BERT}
        config = InstructBlipQFormerConfig(**known, cross_attention_frequency=every)
    if not isinstance(config, InstructBlipQFormerConfig):
        raise InputError(f"{folder} is of a {config.model_type}, which cannot be the QFormer")
    check_given(config, sizes, folder, "qformer")
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


def _num_queries(folder: Path | None, given: int | None) -> int:
    """Queries belong to the whole model, not to its QFormer.

    Raises:
        InputError: the file says another number than the one that is given.
    """
    whole = part_config(folder, "") if folder is not None else None
    stated: int | None = getattr(whole, "num_query_tokens", None)
    if None not in (stated, given) and stated != given:
        raise InputError(
            f"config.json of {folder} decides on sizes: num_query_tokens is {stated} there and --qformer.num_queries "
            f"is {given}; leave such settings out"
        )
    return stated or given or 8
