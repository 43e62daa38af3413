"""Parts from a checkpoint laid out as `Salesforce/instructblip-vicuna-7b`: one set of shards, bfloat16, fewer rows."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.tiny import QUERIES, tiny_model, tokenizer
from vista.models.parts import LLM, Encoder, QFormer
from vista.models.weights import load_part, load_queries

SIZES = {"hidden_size": 32, "num_heads": 2, "mlp_size": 32}
ROWS = 300  # of the file's embedding tables


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two shards of a small model, whose tables have fewer rows than the vocabulary."""
    state = {name: t.detach().bfloat16() for name, t in tiny_model(seed=7).state_dict().items()}
    table = "language_model.model.embed_tokens.weight"
    state |= {
        table: state[table][:ROWS].clone(),
        "language_model.lm_head.weight": state[table][:ROWS].flip(0).clone(),
    }
    names, root = sorted(state), tmp_path_factory.mktemp("checkpoint")
    for i in range(2):
        shard = {name: state[name] for name in names[i::2]}
        save_file(shard, root / f"model-{i + 1:05d}-of-00002.safetensors")
    return root


def test_the_parts_of_one_folder(folder):
    """Every parameter is that of the file; nothing is left as it was allocated."""
    theirs, vocab = tiny_model(seed=7).state_dict(), len(tokenizer())
    parts = {
        "vision_model.": Encoder(image_size=32, num_layers=1, weights=folder, **SIZES),
        "qformer.": QFormer(
            QUERIES, num_layers=1, encoder_hidden_size=32, vocab_size=vocab, weights=folder, **SIZES
        ),
    }
    for prefix, part in parts.items():
        for name, tensor in part.state_dict().items():
            torch.testing.assert_close(
                tensor, theirs[prefix + name].bfloat16().float(), atol=0, rtol=0
            )
    queries = torch.nn.Parameter(torch.zeros(1, QUERIES, 32))
    load_queries(queries, folder)
    torch.testing.assert_close(
        queries.data, theirs["query_tokens"].bfloat16().float(), atol=0, rtol=0
    )


def test_a_vocabulary_that_was_extended(folder):
    """The new rows are like the old ones, in two tables; the rotary frequencies, which no file holds, are there."""
    theirs = tiny_model(seed=7).state_dict()
    llm = LLM(len(tokenizer()), num_layers=2, tie_embeddings=False, weights=folder, **SIZES)
    assert (
        llm.pretrained
        and torch.isfinite(llm(torch.tensor([[1, 5, len(tokenizer()) - 1]])).logits).all()
    )
    for name, tensor in llm.state_dict().items():
        if name in ("model.embed_tokens.weight", "lm_head.weight"):
            old = theirs["language_model.model.embed_tokens.weight"][:ROWS].bfloat16().float()
            old, new = (old.flip(0) if name == "lm_head.weight" else old), tensor[ROWS:]
            torch.testing.assert_close(tensor[:ROWS], old, atol=0, rtol=0)
            assert new.std().item() == pytest.approx(old.std().item(), rel=0.1) and len(
                new.unique(dim=0)
            ) == len(new)
        else:
            torch.testing.assert_close(
                tensor, theirs[f"language_model.{name}"].bfloat16().float(), atol=0, rtol=0
            )


def test_tied_tables_stay_tied(folder):
    llm = LLM(len(tokenizer()), num_layers=2, weights=folder, **SIZES)
    assert llm.lm_head.weight is llm.model.embed_tokens.weight


def test_what_is_missing_is_named(folder):
    with pytest.raises(ValueError, match=r"lacks 9 parameters of LLM, the first is model.layers.2"):
        LLM(len(tokenizer()), num_layers=3, weights=folder, **SIZES)
    with pytest.raises(ValueError, match=r"has shape \(32, 32\), the model needs \(48, 32\)"):
        load_part(LLM(len(tokenizer()), 32, 2, 2, 48), folder, "language_model.")
