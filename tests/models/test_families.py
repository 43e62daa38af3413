"""Language models of every family, saved by transformers and built by config alone, compute what they did."""

from itertools import chain
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from transformers import AutoModelForCausalLM, InstructBlipConfig, PreTrainedModel

from tests.decoding.test_greedy import QUESTIONS
from tests.models.families import FAMILIES, family_config
from tests.tiny import QUERIES, ask, picture, question, tiny_model, tokenizer
from vista.data import InputError, MissingFileError
from vista.decoding.automaton import Automaton
from vista.decoding.grammar import Regions, Text, compile_grammar
from vista.decoding.greedy import generate
from vista.decoding.kv import KVBatch
from vista.models.llm import build_llm
from vista.models.vistallm import VistaLLM
from vista.tokens.batch import IGNORE, collate, encode_example
from vista.tokens.batch_types import Example

CLOSE = {"atol": 1e-5, "rtol": 1e-5}
THREE = question("<image> and <image> and <image> differ in what?", "a", "b", "c")


class Saved(NamedTuple):
    """A folder of a language model in shards, and the model that was saved."""

    name: str
    folder: Path
    theirs: PreTrainedModel


@pytest.fixture(scope="module", params=FAMILIES)
def saved(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Saved:
    torch.manual_seed(1)
    theirs = AutoModelForCausalLM.from_config(family_config(request.param, len(tokenizer()))).eval()
    with torch.no_grad():  # the first weights are so small that every token is as likely
        for parameter in theirs.parameters():
            parameter.normal_(std=0.3 if parameter.ndim > 1 else 0.1)
            if parameter.ndim == 1 and "gemma" not in request.param:
                parameter.add_(1)
        if "gemma" in request.param:  # else a token is its own likeliest successor
            theirs.get_input_embeddings().weight.mul_(0.05)
    folder = tmp_path_factory.mktemp(request.param)
    theirs.save_pretrained(folder, max_shard_size="100KB")
    assert len(list(folder.glob("*.safetensors"))) > 1
    return Saved(request.param, folder, theirs)


@pytest.fixture(scope="module")
def model(saved: Saved) -> VistaLLM:
    """With an encoder and a QFormer of no size to speak of."""
    small = tiny_model()
    llm = build_llm(len(tokenizer()), weights=saved.folder).eval()
    return VistaLLM(small.vision_model, small.qformer, llm, tokenizer().image_id).eval()


@torch.no_grad()
def test_a_folder_alone_says_what_the_model_is(saved: Saved, model: VistaLLM) -> None:
    ids = torch.arange(5, 25)[None]
    llm = model.language_model
    assert type(llm) is type(saved.theirs) and llm.pretrained
    assert all(p.dtype == torch.float32 for p in llm.parameters())
    torch.testing.assert_close(llm(ids).logits, saved.theirs(ids).logits, **CLOSE)


@torch.no_grad()
@pytest.mark.parametrize("example", [QUESTIONS[0], THREE], ids=["one image", "three"])
def test_loss_is_that_of_a_composition_by_hand(
    saved: Saved, model: VistaLLM, example: Example
) -> None:
    """Visual tokens stand in the places of the marks, as they are; all else goes through the LLM's own forward pass."""
    answered = Example(example.images, ((example.turns[0][0], "the red circle [10, 20, 30, 40]"),))
    sample = encode_example(answered, tokenizer())
    images = {name: picture(name) for name in example.images}
    batch = collate([sample], images, tokenizer(), QUERIES)
    embeds = saved.theirs.get_input_embeddings()(batch["input_ids"])
    embeds[batch["input_ids"] == tokenizer().image_id] = model.encode_images(batch).flatten(0, 1)
    logits = saved.theirs(inputs_embeds=embeds).logits
    target = batch["labels"][:, 1:]
    nats = nn.functional.cross_entropy(
        logits[:, :-1].mT, target, ignore_index=IGNORE, reduction="none"
    )
    torch.testing.assert_close(model(batch), nats, **CLOSE)
    assert (nats > 0).sum() > 5


@torch.no_grad()
def test_greedy_answers_are_those_of_transformers(saved: Saved, model: VistaLLM) -> None:
    """Token for token, of rows that are not in step, longer than any window."""
    t = tokenizer()
    examples = [*QUESTIONS[:2], THREE]
    anything = Automaton(len(t))
    anything.any_next[0] = 0
    answers = generate(model, ask(*examples), [anything] * len(examples), 16, max_rows=2)
    for example, answer in zip(examples, answers, strict=True):
        batch = ask(example)
        theirs = saved.theirs.generate(
            inputs_embeds=model.embed(batch),
            attention_mask=batch["attention_mask"],
            max_new_tokens=16,
            do_sample=False,
            eos_token_id=None,
        )
        assert answer.token_ids == theirs[0].tolist()
    assert len(set(chain.from_iterable(answer.token_ids for answer in answers))) > 3


@torch.no_grad()
def test_rows_out_of_step_read_what_they_read_alone(saved: Saved) -> None:
    """Padding takes no room in a window."""
    rows = KVBatch(saved.theirs)
    rows.add([rows.embed([1, 2, 3, 4, 5, 6, 7]), rows.embed([6, 7])])
    rows.feed([[8], [9, 10, 11, 12, 13]])
    rows.add([rows.embed([12, 13, 14])])
    rows.select([2, 1, 0, 1])
    logits = rows.feed([[15, 16], [17], [18, 19, 20, 21], [5]])
    read = [
        [12, 13, 14, 15, 16],
        [6, 7, 9, 10, 11, 12, 13, 17],
        [1, 2, 3, 4, 5, 6, 7, 8, 18, 19, 20, 21],
        [6, 7, 9, 10, 11, 12, 13, 5],
    ]
    for row, ids in zip(logits, read, strict=True):
        alone = saved.theirs(torch.tensor([ids])).logits[0, -1]
        torch.testing.assert_close(row, alone, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_a_table_with_more_rows_than_tokens(saved: Saved) -> None:
    """Qwen pads its tables: the rows stay, and nothing is ever answered with them."""
    t, small = tokenizer(), tiny_model()
    llm = build_llm(len(t) - 100, weights=saved.folder).eval()
    assert (
        llm.get_input_embeddings().weight.shape == saved.theirs.get_input_embeddings().weight.shape
    )
    wide = build_llm(len(t) + 64, architecture=saved.folder).eval()
    assert len(wide.get_output_embeddings().weight) == len(t) + 64
    model = VistaLLM(small.vision_model, small.qformer, wide, t.image_id).eval()
    grammars = [compile_grammar(grammar, t) for grammar in ((Text(),), (Regions(numbers=4),))]
    for answer in generate(model, ask(*QUESTIONS[:2]), grammars, 20):
        assert max(answer.token_ids) < len(t)


def test_an_architecture_without_weights_starts_at_random(saved: Saved, tmp_path: Path) -> None:
    saved.theirs.config.save_pretrained(tmp_path)
    llm = build_llm(len(tokenizer()), architecture=tmp_path)
    assert type(llm) is type(saved.theirs) and not llm.pretrained
    with pytest.raises(MissingFileError, match=r"no \.safetensors file"):
        build_llm(len(tokenizer()), weights=tmp_path)
    (tmp_path / "config.json").unlink()
    with pytest.raises(MissingFileError, match=r"holds no config\.json"):
        build_llm(len(tokenizer()), architecture=tmp_path)


def test_the_row_that_pads_is_trained(saved: Saved, model: VistaLLM) -> None:
    """Where padding and the end are one token, it is a word like any other."""
    assert saved.theirs.get_input_embeddings().padding_idx == 0
    embeddings = model.language_model.get_input_embeddings()
    embeddings(torch.tensor([0, 1])).sum().backward()
    grad = embeddings.weight.grad
    embeddings.weight.grad = None
    assert grad[0].abs().sum() > 0


def test_the_language_model_of_a_composite_folder(saved: Saved, tmp_path: Path) -> None:
    """InstructBLIP's way: one config with a section for each part, one prefix."""
    small, text = tiny_model(), saved.theirs.config
    config = InstructBlipConfig(
        vision_config=small.vision_model.config.to_dict(),
        qformer_config=small.qformer.config.to_dict(),
        text_config=text.to_dict(),
        num_query_tokens=QUERIES,
    )
    config.save_pretrained(tmp_path)
    state = {f"language_model.{name}": t for name, t in saved.theirs.state_dict().items()}
    if text.tie_word_embeddings:
        del state["language_model.lm_head.weight"]
    save_file(state, tmp_path / "model.safetensors")
    llm = build_llm(len(tokenizer()), weights=tmp_path).eval()
    ids = torch.arange(5, 25)[None]
    with torch.no_grad():
        torch.testing.assert_close(llm(ids).logits, saved.theirs(ids).logits, **CLOSE)
    with pytest.raises(InputError, match=r"heads is 4 there and --llm\.num_heads is 8"):
        build_llm(len(tokenizer()), num_heads=8, weights=tmp_path)
