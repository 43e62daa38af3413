"""Models with random weights answer the questions of all tasks: no answer is malformed, none longer than stated."""

from dataclasses import replace
from itertools import cycle, islice

import pytest
import torch

from tasks import Task
from tests.task_sources import ON_FORMATS, annotations
from tests.tiny import QUERIES, tiny_model, tokenizer
from vista.codec.codec import Codec
from vista.data import Annotation
from vista.decoding import decoder
from vista.decoding.decoder import Decoder, Decoding
from vista.decoding.grammar import compile_grammar
from vista.tokens.batch import collate, encode_example
from vista.tokens.batch_types import Example

CODECS = [
    Codec(num_points=32),
    Codec(num_points=16, multipart="bridge"),
    Codec(num_bins=200, num_points=8),
]
SOURCES = ON_FORMATS


def ask_task(task: Task, asked: list[Annotation], layout: str) -> dict:
    """A batch of questions with noise for images."""
    t = tokenizer(layout)
    samples = [encode_example(Example(a.images, task.question(a)), t, answer=False) for a in asked]
    images = {name: torch.randn(3, 32, 32) for sample in samples for name in sample.images}
    return collate(samples, images, t, QUERIES, pad_left=True)


def answer_all(
    total: int, batch_size: int, monkeypatch: pytest.MonkeyPatch
) -> tuple[int, int, int]:
    """So many answers, shared by all sources; how many there are, how many malformed, how many too long."""
    lengths, answers, malformed, too_long = [], 0, 0, 0

    def noted(model, batch, automata, limits, *settings, **more):
        found = decode(model, batch, automata, limits, *settings, **more)
        lengths.extend((len(a.token_ids), limit) for a, limit in zip(found, limits, strict=True))
        return found

    decode = decoder.generate
    monkeypatch.setattr(decoder, "generate", noted)
    each = -(-total // len(SOURCES))
    for number, (name, dataset, split) in enumerate(SOURCES):
        stream = cycle(annotations(name, dataset, split))
        for begin in range(0, each, batch_size):
            seed = number * each + begin
            task = Task.known[name](CODECS[seed % len(CODECS)])
            layout = ("compact", "paper")[seed % 2]
            asked = list(islice(stream, min(batch_size, each - begin)))
            model = tiny_model(seed, len(tokenizer(layout)))
            decoding = Decoder(tokenizer(layout), Decoding(temperature=(0.0, 1.0)[seed // 2 % 2]))
            predictions = decoding(model, ask_task(task, asked, layout), [task] * len(asked), asked)
            answers += len(predictions)
            malformed += sum(p.malformed for p in predictions)
    too_long = sum(length > limit for length, limit in lengths)
    assert len(lengths) == answers
    return answers, malformed, too_long


@torch.no_grad()
def test_no_answer_of_any_task_is_malformed(monkeypatch):
    for task in Task.known.values():
        monkeypatch.setattr(task, "max_new_tokens", min(task.max_new_tokens, 60))
    answers, malformed, too_long = answer_all(2 * len(SOURCES), 2, monkeypatch)
    assert (answers, malformed, too_long) == (2 * len(SOURCES), 0, 0)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@torch.no_grad()
def test_ten_thousand_answers(monkeypatch):
    answers, malformed, too_long = answer_all(10_000, 64, monkeypatch)
    assert answers >= 10_000 and (malformed, too_long) == (0, 0)


@pytest.mark.parametrize(
    ("name", "dataset", "split"), SOURCES, ids=["-".join(source) for source in SOURCES]
)
def test_every_task_states_its_longest_answer(name, dataset, split):
    """By its grammar, or by `max_new_tokens` where the grammar leaves the length open; no target is longer."""
    for layout in ("compact", "paper"):
        task, t = Task.known[name](Codec(num_points=32)), tokenizer(layout)
        for annotation in annotations(name, dataset, split)[:5]:
            longest = (
                compile_grammar(task.grammar(annotation), t).longest_answer or task.max_new_tokens
            )
            assert len(t.encode(task.target(annotation), eos=True)) <= longest


@torch.no_grad()
def test_ranking_takes_the_likeliest_option_and_keeps_all_probabilities():
    task = Task.known["iconqa"](Codec())
    asked = list(annotations("iconqa", "iconqa", "test"))[:3]
    model = tiny_model(5)
    ranked = Decoder(tokenizer(), Decoding(rank_options=True))
    for annotation, p in zip(
        asked,
        ranked(model, ask_task(task, asked, "compact"), [task] * len(asked), asked),
        strict=True,
    ):
        options = task.grammar(annotation)[0].options
        assert set(p.scores) == set(options) and sum(p.scores.values()) == pytest.approx(
            1, abs=1e-5
        )
        assert (
            p.text == max(p.scores, key=p.scores.get)
            and options[p.choice] == p.text
            and not p.malformed
        )


@torch.no_grad()
@pytest.mark.parametrize(
    "settings", [{}, {"grammar": False}, {"rank_options": True}, {"num_beams": 2}]
)
def test_memes_get_the_probabilities_of_yes_and_no(settings):
    task = Task.known["hateful_memes"](Codec())
    asked = list(annotations("hateful_memes", "hateful_memes", "dev_seen"))[:4]
    torch.manual_seed(0)
    batch = ask_task(task, asked, "compact")
    decoder = Decoder(tokenizer(), Decoding(**settings))
    for p in decoder(tiny_model(1), batch, [task] * len(asked), asked):
        assert set(p.scores) == {"yes", "no"} and p.scores["yes"] + p.scores["no"] == pytest.approx(
            1
        )
        assert p.malformed == ("grammar" in settings) and p.confidence < 0
        if "rank_options" in settings:
            assert p.answer == ("Yes" if p.scores["yes"] > p.scores["no"] else "No")


@torch.no_grad()
def test_coordinates_have_a_spread_each():
    task = Task.known["rec"](Codec())
    asked = [replace(a, id=f"{k}") for k, a in enumerate(annotations("rec", "refcoco", "val"))][:3]
    batch = ask_task(task, asked, "compact")
    for p in Decoder(tokenizer())(tiny_model(), batch, [task] * len(asked), asked):
        assert len(p.boxes) == 1 and len(p.spreads) == 4 and all(0 < s < 500 for s in p.spreads)


def test_beams_and_a_temperature_are_refused():
    with pytest.raises(ValueError, match="not with both"):
        Decoder(tokenizer(), Decoding(num_beams=2, temperature=1.0))
