"""Low-rank adapters (LoRA, arXiv:2106.09685) on the linear layers of a part, by peft, and the new rows beside them.

    put_on(llm, Adapters(rank=16), ["all"], tokenizer.added_ids)   # the LLM itself is frozen from here on

An LLM whose vocabulary was extended must learn the new rows too, in its input table and in its head, and no old one:
peft does that for tied tables; of two tables both must be named, or the LLM reads the new tokens and never writes one.
`merged.py` makes whole weights of it again.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from transformers import PreTrainedModel

from vista.data import InputError
from vista.models.drawn import drawn
from vista.models.laid_out import all_tensors, fill
from vista.models.merged import LORA_A, LORA_B, ROWS, TABLE
from vista.models.stored import Stored

ALL = "all"
FEW_NAMED = 8  # layers that a message names


@dataclass(frozen=True)
class Adapters:
    """Which parts are trained by adapters instead of as a whole.

    Attributes:
        rank: inner size of an adapter's two matrices, whose product is added to a weight.
        alpha: the product is multiplied by alpha / rank.
        dropout: of what goes into an adapter, in training.
        targets: of each part, of `encoder`, `tokenizer` (its QFormer) and `llm`, the ends of the names of linear layers
            such as `q_proj`, or `all`; a part that is not trained gets none. None: parts are trained as a whole.
    """

    rank: int = 16
    alpha: float = 32.0
    dropout: float = 0.05
    targets: dict[str, list[str]] = field(default_factory=dict)


def put_on(
    part: PreTrainedModel, settings: Adapters, names: Sequence[str], rows: Sequence[int] = ()
) -> dict[str, Stored]:
    """Put adapters on a part, in place; they, and some rows of its tables, are all of it that is trained.

    Args:
        part: whole, or laid out without memory.
        settings: of the adapters.
        names: ends of the names of linear layers, or `all`.
        rows: of its embedding tables, to be trained.

    Returns:
        what the adapters begin with, by name, for `begin`: matrices that are drawn, whose products are zero.

    Raises:
        InputError: peft is not installed, a name is of no linear layer, or the head has biases, which peft would drop.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise InputError(
            "adapters need peft, which is not installed: pip install -e '.[lora]'"
        ) from error
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,  # type: ignore[arg-type]  # a float does as well
        lora_dropout=settings.dropout,
        target_modules=_layers(part, names),
        trainable_token_indices=_tables(part, rows) if rows else None,
    )
    inject_adapter_in_model(config, part)
    for module in part.modules():
        # Kept by peft to take a merge back, which we do not.
        getattr(module, "trainable_tokens_original", {}).clear()
    first = {}
    for name, tensor in all_tensors(part).items():
        if LORA_A in name:
            first[name] = drawn(name, tuple(tensor.shape), std=(3 * tensor.shape[1]) ** -0.5)
        elif LORA_B in name:
            first[name] = Stored.of(torch.zeros(tensor.shape))
    return first


@torch.no_grad()
def begin(part: nn.Module, first: dict[str, Stored], rows: Sequence[int] = ()) -> None:
    """Give adapters the values that they begin with, once the part has its own; every process must come here.

    Args:
        part: with adapters, sharded or not.
        first: of `put_on`.
        rows: as `put_on` was told; where there are any.
    """
    fill(part, first)
    tensors = all_tensors(part)
    for name in [name for name in tensors if ROWS in name]:
        table = name.partition(f".{TABLE}.")[0]
        values = _whole(tensors[f"{table}.weight"])[torch.tensor(rows)]
        fill(part, {name: Stored.of(values)})


def _whole(table: Tensor) -> Tensor:
    """All of a table on the CPU; every process of a sharded one must ask."""
    return (table.full_tensor() if isinstance(table, DTensor) else table).cpu()


def _layers(part: PreTrainedModel, names: Sequence[str]) -> list[str]:
    """The full names of the linear layers that are meant; the head of an LLM is none of them."""
    head = part.get_output_embeddings()
    linear = [
        name
        for name, module in part.named_modules()
        if isinstance(module, nn.Linear) and module is not head
    ]
    found = []
    for wanted in names:
        own = [name for name in linear if wanted == ALL or f".{name}".endswith(f".{wanted}")]
        if not own:
            ends = sorted({name.rpartition(".")[2] for name in linear})
            raise InputError(
                f"{type(part).__name__} has no linear layer {wanted!r} for an adapter; it has "
                f"{', '.join(ends[:FEW_NAMED]) or 'none'}"
            )
        found += own
    return list(dict.fromkeys(found))


def _tables(part: PreTrainedModel, rows: Sequence[int]) -> dict[str, list[int]]:
    """Names for peft of the rows to train: of tied tables the input's, else both tables'."""
    named: dict[nn.Module, str] = {module: name for name, module in part.named_modules()}
    inputs = part.get_input_embeddings()
    head = part.get_output_embeddings()
    if getattr(head, "bias", None) is not None:
        raise InputError(
            f"the head of {type(part).__name__} has biases, which peft drops where it trains rows of it; such an LLM "
            "can only be trained as a whole"
        )
    alone = head is None or head.weight is inputs.weight
    tables = [inputs] if alone else [inputs, head]
    return {named[table]: list(rows) for table in tables}
