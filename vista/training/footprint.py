"""Bytes that training takes on a card and in a checkpoint, found by walking a model without weights.

The optimizer makes a step on the meta device, so that its states are counted as it makes them. Of a sharded tensor
every card keeps as many rows as the first one (FSDP2 pads the last ones').
"""

import copy
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from itertools import chain

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from vista.models.vistallm import VistaLLM
from vista.training.activations import CardBatch, activations
from vista.training.optimizer import Optimization, make_optimizer
from vista.training.sharding import recomputed_layers, sharded_layers

TENSOR_ENTRY = (
    352  # bytes of `torch.save` for each tensor: its name, its place, and the filling between
)


@dataclass(frozen=True)
class Sharing:
    """How cards share a training.

    Attributes:
        cards: among which a batch is divided.
        shards: cards that share one copy of the weights; 1: each has its own.
        bf16: whether it is computed in bfloat16; weights, gradients and states are float32 all the same.
        sharded: whether the strategy is FSDP2, which computes activations of trained layers twice.
    """

    cards: int = 1
    shards: int = 1
    bf16: bool = False
    sharded: bool = False


@dataclass(frozen=True)
class Memory:
    """Bytes on a card, by kind.

    Attributes:
        weights: this card's share.
        gradients: of the trained weights, this card's share.
        optimizer: its states, this card's share.
        gathered: whole layers in the type that is computed in (two layers, the root, gradients on their way to their
            shares), or without sharding the copies that autocast keeps, and DDP's buckets.
        activations: kept for the backward pass, and those of one layer that is computed a second time.
        logits: of the learned tokens, logarithms of probabilities and gradients with them.
    """

    weights: int
    gradients: int
    optimizer: int
    gathered: int
    activations: int
    logits: int

    @property
    def total(self) -> int:
        """The sum of all kinds."""
        return sum(astuple(self))

    @property
    def of_samples(self) -> int:
        """What grows with the batch."""
        return self.activations + self.logits


def memory(bare: VistaLLM, settings: Optimization, sharing: Sharing, batch: CardBatch) -> Memory:
    """What a card holds at the peak of a step.

    Args:
        bare: in float32 on the meta device, with the parts frozen that are.
        settings: of the optimizer.
        sharing: how cards share the training.
        batch: of one card.
    """
    computed = copy.deepcopy(bare)
    if sharing.bf16:
        computed = computed.to(torch.bfloat16)
    twice = recomputed_layers(computed) if sharing.sharded else []
    kept = activations(computed, batch, twice)
    trained = [p for p in bare.parameters() if p.requires_grad]
    width = bare.language_model.get_output_embeddings().weight.shape[0]
    # Logits and their gradient in the type that is computed in, the gradient of the logarithms in float32.
    of_logits = batch.learned * width * (2 * _itemsize(sharing) + 4)
    return Memory(
        shares(bare.parameters(), sharing.shards),
        shares(trained, sharing.shards),
        shares(states(stepped_optimizer(bare, settings)), sharing.shards),
        gathered(bare, sharing),
        kept.kept + kept.recomputed,
        kept.head + of_logits,
    )


def shares(tensors: Iterable[Tensor], shards: int) -> int:
    """Bytes that one card keeps of tensors that are cut by rows; a number is kept whole."""
    total = 0
    for tensor in tensors:
        rows = -(-len(tensor) // shards) * tensor[0].numel() if tensor.dim() else 1
        total += rows * tensor.element_size()
    return total


def gathered(bare: VistaLLM, sharing: Sharing) -> int:
    """See `Memory.gathered`; an upper bound, since not all of it is there at once."""
    size = _itemsize(sharing)
    trained = sum(p.numel() for p in bare.parameters() if p.requires_grad)
    if not sharing.sharded:
        copies = size * trained if sharing.bf16 else 0
        buckets = 4 * trained if sharing.cards > 1 else 0
        return copies + buckets
    layers = sharded_layers(bare)
    in_layers = set(chain.from_iterable(layer.parameters() for layer in layers))
    root = [p for p in bare.parameters() if p not in in_layers]
    largest = max((_numbers(layer.parameters()) for layer in layers), default=0)
    most_trained = max((_numbers(_trained(layer.parameters())) for layer in layers), default=0)
    # One layer is used while the next one is gathered. A gradient is whole in the computed type, then in float32.
    return size * (_numbers(root) + 2 * largest) + (size + 4) * (
        _numbers(_trained(root)) + most_trained
    )


def _itemsize(sharing: Sharing) -> int:
    return 2 if sharing.bf16 else 4


def _trained(parameters: Iterable[nn.Parameter]) -> list[nn.Parameter]:
    return [p for p in parameters if p.requires_grad]


def _numbers(parameters: Iterable[nn.Parameter]) -> int:
    return sum(p.numel() for p in parameters)


def stepped_optimizer(bare: VistaLLM, settings: Optimization) -> Optimizer:
    """The optimizer after a step; the model's gradients are there as long as it takes."""
    optimizer = make_optimizer(bare, settings)
    for parameter in _trained(bare.parameters()):
        parameter.grad = torch.empty_like(parameter)
    optimizer.step()
    optimizer.zero_grad()
    return optimizer


def states(optimizer: Optimizer) -> list[Tensor]:
    """All tensors that an optimizer remembers."""
    found: list[Tensor] = []
    for state in optimizer.state.values():
        found += [value for value in state.values() if isinstance(value, Tensor)]
    return found


def checkpoint_bytes(bare: VistaLLM, settings: Optimization, text: int = 0) -> int:
    """Size of a checkpoint, whole, however many files it has.

    Args:
        bare: on the meta device.
        settings: of the optimizer.
        text: bytes of the tokenizer that is kept in it.
    """
    kept = states(stepped_optimizer(bare, settings))
    storages = {}
    weights = bare.state_dict()
    for tensor in weights.values():  # a table that is tied stands there twice, and is kept once
        storages[tensor.untyped_storage()] = tensor.untyped_storage().nbytes()
    entries = TENSOR_ENTRY * (len(weights) + len(kept))
    return sum(storages.values()) + sum(t.nbytes for t in kept) + entries + text
