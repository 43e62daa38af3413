"""What a step keeps for its backward pass, in bytes: counted on a model without weights, on the meta device.

`torch.autograd.graph.saved_tensors_hooks` sees every tensor that autograd saves. A layer that is computed twice
(`vista/training/sharding.py`) keeps its inputs alone, and all that it saves only while its own backward pass runs.

Attention is counted as the fused kernels keep it: queries, keys, values, output and one number a row, never a matrix of
tokens by tokens, but for a mask of that size. What autocast converts beside this, and what an allocator leaves unused,
is not counted.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from vista.models.vistallm import VistaLLM
from vista.training.flops import visual_tokens


@dataclass(frozen=True)
class CardBatch:
    """Sizes of one card's share of a batch.

    Attributes:
        images: through the encoder.
        uses: of an image by a sample.
        instruction: tokens to which instructions are padded.
        groups: of the language model's calls (`length_groups`), rows and the tokens to which they are padded.
        learned: tokens that go through the head.
    """

    images: int
    uses: int
    instruction: int
    groups: Sequence[tuple[int, int]]
    learned: int


@dataclass(frozen=True)
class Activations:
    """Bytes that a step keeps.

    Attributes:
        kept: until the backward pass comes to them, the head's not included.
        recomputed: of the layer that keeps most, for as long as its backward pass runs; 0: none is computed twice.
        head: kept for the loss, logarithms of probabilities first of all.
    """

    kept: int
    recomputed: int
    head: int


class Saved:
    """A ledger of storages, each counted once; those of the model's own weights are not."""

    def __init__(self, model: nn.Module) -> None:
        """Know the weights."""
        self.own = {tensor.untyped_storage() for tensor in (*model.parameters(), *model.buffers())}
        self.kept: set[torch.UntypedStorage] = set()
        self.inside: list[set[torch.UntypedStorage]] = []  # of each layer that is computed twice
        self.current = self.kept

    def add(self, tensor: Tensor) -> Tensor:
        """Count a tensor that is kept."""
        storage = tensor.untyped_storage()
        if storage not in self.own and storage not in self.kept:
            self.current.add(storage)
        return tensor

    def watch(self, layers: Iterable[nn.Module]) -> None:
        """Of these layers only the inputs are kept; what they save is counted by itself."""
        for layer in layers:
            layer.register_forward_pre_hook(self._enter, with_kwargs=True)
            layer.register_forward_hook(self._leave)

    def _enter(self, _layer: nn.Module, args: object, kwargs: object) -> None:
        for tensor in tensors_in([args, kwargs]):
            self.add(tensor)
        self.current = set()
        self.inside.append(self.current)

    def _leave(self, _layer: nn.Module, _args: object, _output: object) -> None:
        self.current = self.kept

    def __enter__(self) -> "Saved":
        self._hooks = saved_tensors_hooks(self.add, lambda tensor: tensor)
        self._hooks.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._hooks.__exit__(*error)

    def bytes(self) -> int:
        """Of all that is kept so far."""
        return total_bytes(self.kept)

    def most_inside(self) -> int:
        """Of the layer that saves most."""
        return max(map(total_bytes, self.inside), default=0)


def total_bytes(storages: Iterable[torch.UntypedStorage]) -> int:
    """Of some storages together."""
    return sum(storage.nbytes() for storage in storages)


def tensors_in(value: object) -> list[Tensor]:
    """All tensors in lists, tuples and dictionaries."""
    if isinstance(value, Tensor):
        return [value]
    if not isinstance(value, list | tuple | dict):
        return []
    parts = value.values() if isinstance(value, dict) else value
    found: list[Tensor] = []
    for part in parts:
        found += tensors_in(part)
    return found


class FusedAttention(TorchFunctionMode):
    """On the meta device torch would take attention apart, into matrices of tokens by tokens."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if func is F.scaled_dot_product_attention:
            return _fused(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def _fused(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    if enable_gqa:
        repeats = query.shape[1] // key.shape[1]
        key, value = (each.repeat_interleave(repeats, dim=1) for each in (key, value))
    mask = None if attn_mask is None else attn_mask.to(query.dtype)
    attention = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    output, _ = attention(query, key, value, 0.0, is_causal, attn_mask=mask, scale=scale)
    return output  # type: ignore[no-any-return]


def activations(bare: VistaLLM, batch: CardBatch, twice: Collection[nn.Module] = ()) -> Activations:
    """What `VistaLLM.forward` keeps of a batch.

    Args:
        bare: on the meta device, of the type that is computed in, with the parts frozen that are.
        batch: its sizes.
        twice: layers whose activations are computed a second time.
    """
    saved = Saved(bare)
    saved.watch(twice)
    llm = bare.language_model
    with torch.device("meta"), FusedAttention(), saved:
        visual = visual_tokens(bare, batch.images, batch.uses, batch.instruction)
        rows = sum(count for count, _ in batch.groups)
        longest = max(length for _, length in batch.groups)
        words = llm.get_input_embeddings()(torch.zeros(rows, longest, dtype=torch.long))
        marks = torch.zeros(rows, longest, 1, dtype=torch.bool)
        embeds = words.masked_scatter(marks, visual.to(words.dtype))
        hidden = torch.cat([_decoded(bare, embeds, *group) for group in batch.groups])
        learned = hidden[torch.zeros(batch.learned, dtype=torch.long)]  # (learned tokens, D)
        kept = saved.bytes()
        logits = llm.get_output_embeddings()(learned)
        for step in bare.logit_steps:
            logits = step(logits)
        targets = torch.zeros(batch.learned, dtype=torch.long)
        F.cross_entropy(logits.float(), targets, reduction="none")
    return Activations(kept, saved.most_inside(), saved.bytes() - kept)


def _decoded(bare: VistaLLM, embeds: Tensor, rows: int, length: int) -> Tensor:
    """Hidden states of a group, float (rows * length, D)."""
    own = embeds[torch.zeros(rows, dtype=torch.long), :length]
    hidden: Tensor = (
        bare.language_model.get_decoder()(
            inputs_embeds=own,
            attention_mask=torch.ones(rows, 1, length, length, dtype=torch.bool),
            use_cache=False,
        )
    ).last_hidden_state
    return hidden.flatten(0, 1)
