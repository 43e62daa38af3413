"""The composition against transformers' own InstructBLIP, and samples against their neighbours."""

import pytest
import torch

from benchmarks.train_models import transformers_twin
from tests.tiny import logits_of
from vista.models.encoder import build_encoder
from vista.models.llm import build_llm
from vista.models.parts import QFormer
from vista.models.vistallm import VistaLLM

IMAGE = 120


def tiny_model() -> VistaLLM:
    torch.manual_seed(0)
    encoder = build_encoder(image_size=32, hidden_size=64)
    qformer = QFormer(num_queries=4, hidden_size=64, encoder_hidden_size=64, vocab_size=121)
    return VistaLLM(
        encoder, qformer, build_llm(vocab_size=121, hidden_size=64), image_token_id=IMAGE
    ).eval()


def make_batch(counts: list[int], lengths: list[int], seed: int = 1) -> dict:
    """Random samples with `counts` images each and `lengths` words after them, padded on the right."""
    g = torch.Generator().manual_seed(seed)
    rows, masks = [], []
    total = max(4 * c + n for c, n in zip(counts, lengths, strict=True))
    for count, n in zip(counts, lengths, strict=True):
        row = [IMAGE] * (4 * count) + torch.randint(3, 119, (n,), generator=g).tolist()
        rows.append(row + [0] * (total - len(row)))
        masks.append([1] * len(row) + [0] * (total - len(row)))
    input_ids, mask = torch.tensor(rows), torch.tensor(masks)
    labels = torch.where((mask == 1) & (input_ids != IMAGE), input_ids, -100)
    instruction = torch.randint(3, 119, (len(counts), 5), generator=g)
    return {
        "pixel_values": torch.randn(sum(counts), 3, 32, 32, generator=g),
        "image_index": torch.arange(sum(counts)),
        "sample_index": torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts)),
        "instruction_ids": instruction,
        "instruction_mask": torch.ones_like(instruction),
        "input_ids": input_ids,
        "attention_mask": mask,
        "labels": labels,
    }


def alone(batch: dict, i: int) -> dict:
    """Sample i of a batch without its neighbours and without padding."""
    uses, n = batch["sample_index"] == i, int(batch["attention_mask"][i].sum())
    rows = {k: batch[k][i : i + 1] for k in ("instruction_ids", "instruction_mask")}
    return rows | {
        "pixel_values": batch["pixel_values"][batch["image_index"][uses]],
        "image_index": torch.arange(int(uses.sum())),
        "sample_index": torch.zeros(int(uses.sum()), dtype=torch.long),
        **{k: batch[k][i : i + 1, :n] for k in ("input_ids", "attention_mask", "labels")},
    }


@torch.no_grad()
def test_logits_equal_transformers_instructblip():
    model, batch = tiny_model(), make_batch([1], [9])
    expected = transformers_twin(model)(
        pixel_values=batch["pixel_values"],
        qformer_input_ids=batch["instruction_ids"],
        qformer_attention_mask=batch["instruction_mask"],
        input_ids=batch["input_ids"],
        attention_mask=batch["attention_mask"],
    ).logits
    assert torch.allclose(logits_of(model, batch), expected, atol=1e-5)
    assert expected.std() > 0.1  # not a dead model


@torch.no_grad()
def test_a_sample_does_not_depend_on_its_neighbours():
    model, batch = tiny_model(), make_batch([1, 2, 5], [9, 4, 14])
    together = logits_of(model, batch)
    for i in range(3):
        single = logits_of(model, alone(batch, i))[0]
        assert torch.allclose(together[i, : len(single)], single, atol=1e-5)


@torch.no_grad()
def test_loss_is_the_cross_entropy_of_the_logits():
    model, batch = tiny_model(), make_batch([1, 2], [9, 4])
    logits, target = logits_of(model, batch)[:, :-1], batch["labels"][:, 1:]
    expected = torch.nn.functional.cross_entropy(logits.transpose(1, 2), target, reduction="none")
    assert torch.allclose(model(batch), expected, atol=1e-5)


@torch.no_grad()
def test_images_and_queries_differ():
    visual = tiny_model().encode_images(make_batch([1, 1], [3, 3]))
    assert (visual[0] - visual[1]).abs().mean() > 0.01
    assert (visual[0, 0] - visual[0, 1]).abs().mean() > 0.01


def test_wrong_number_of_image_tokens_is_refused():
    model, batch = tiny_model(), make_batch([1, 1], [3, 3])
    batch["input_ids"][0, 0] = 5
    with pytest.raises(ValueError, match="<image> tokens"):
        model(batch)
