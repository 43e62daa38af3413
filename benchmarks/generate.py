"""Decoding against transformers' `generate`: the same model, prompts and lengths, in one run.

    OMP_NUM_THREADS=1 python -m benchmarks.generate

A model with random weights (LLM of width 256 and 4 layers, paper layout) answers captions, VQA, REC and RES. `generate`
decodes freely and is held to the length of our answers; ours runs freely, under the grammar token by token, with forced
tokens fed along, and so with medians for coordinates. Each figure is the best of some rounds, in which all ways take
turns. On one thread CPU-seconds are counted, so that other processes disturb little. The last line printed is one JSON
object.
"""

import argparse
import json
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from vista.codec.codec import Codec
from vista.decoding.automaton import Automaton
from vista.decoding.coordinates import Coordinates
from vista.decoding.grammar import Grammar, Regions, Text, compile_grammar
from vista.decoding.greedy import generate
from vista.models.encoder import build_encoder
from vista.models.llm import build_llm
from vista.models.parts import QFormer
from vista.models.vistallm import VistaLLM
from vista.tokens.batch import collate, encode_example
from vista.tokens.batch_types import Example
from vista.tokens.tokenizer import Tokenizer

TOKENIZER = Path(__file__).parents[1] / "configs/tiny/tokenizer"
# Grammar, and the longest answer where the grammar leaves it open.
TASKS: dict[str, tuple[Grammar, int]] = {
    "caption": ((Text(),), 64),
    "vqav2": ((Text(),), 16),
    "rec": ((Regions(numbers=4),), 512),
    "res": ((Regions(numbers=64),), 512),
}
WORDS = (
    "what", "where", "is", "the", "red", "blue", "circle", "square", "on", "left", "of", "a", "large", "one",
)  # fmt: skip


def question(number: int) -> str:
    """4 to 14 words."""
    length = 4 + 5 * number % 11
    return " ".join(WORDS[(number + k) % len(WORDS)] for k in range(length))


class Bench:
    """A model, its prompts, and the ways to decode."""

    def __init__(
        self, width: int, layers: int, device: str, dtype: torch.dtype = torch.float
    ) -> None:
        torch.manual_seed(0)
        self.tokenizer = Tokenizer(TOKENIZER)
        self.device = device
        heads = max(1, width // 64)
        with torch.device(device):
            qformer = QFormer(vocab_size=len(self.tokenizer))
            llm = build_llm(len(self.tokenizer), width, layers, heads, 3 * width)
            self.model = (
                VistaLLM(build_encoder(), qformer, llm, self.tokenizer.image_id).eval().to(dtype)
            )
        # No answer of `generate` may end early, nor hold what ours never hold.
        t = self.tokenizer
        self.never = [t.bos_id, t.eos_id, t.pad_id, t.image_id]

    def prompts(self, count: int) -> dict[str, Any]:
        """A batch of questions of 4 to 14 words."""
        samples, images = [], {}
        for i in range(count):
            name = f"{i}"
            example = Example((name,), ((f"<image> {question(i)}", ""),))
            samples.append(encode_example(example, self.tokenizer, answer=False))
            images[name] = torch.randn(3, 96, 96, generator=torch.Generator().manual_seed(i))
        num_queries = self.model.qformer.num_queries
        batch = collate(samples, images, self.tokenizer, num_queries, pad_left=True)
        return {key: value.to(self.device) for key, value in batch.items()}

    @torch.no_grad()
    def baseline(self, batch: dict[str, Any], length: int) -> list[list[int]]:
        """Transformers' own loop, without a grammar."""
        llm: Any = self.model.language_model
        token_ids = llm.generate(
            inputs_embeds=self.model.embed(batch),
            attention_mask=batch["attention_mask"],
            min_new_tokens=length,
            max_new_tokens=length,
            do_sample=False,
            suppress_tokens=self.never,
            pad_token_id=self.tokenizer.pad_id,
        )
        return token_ids.tolist()

    def ours(
        self,
        batch: dict[str, Any],
        grammars: list[Grammar],
        limit: int,
        coordinates: Coordinates = "mode",
    ) -> list[list[int]]:
        """Ours."""
        automata = [compile_grammar(grammar, self.tokenizer) for grammar in grammars]
        answers = generate(self.model, batch, automata, limit, coordinates=coordinates)
        return [a.token_ids for a in answers]

    def token_by_token(
        self, batch: dict[str, Any], grammars: list[Grammar], limit: int
    ) -> list[list[int]]:
        """Ours, but every token is asked for."""
        with patch.object(Automaton, "forced_token", lambda *_: None):
            return self.ours(batch, grammars, limit)


def seconds(
    ways: dict[str, Callable[[], object]], rounds: int, clock: Callable[[], float]
) -> dict[str, float]:
    """Least seconds of each way."""
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(rounds):
        for name, way in ways.items():
            began = clock()
            way()
            best[name] = min(best[name], clock() - began)
    return best


def measure(
    bench: Bench, task: str, size: int, rounds: int, clock: Callable[[], float]
) -> dict[str, Any]:
    """Answers and tokens a second of all ways at one batch size."""
    grammar, limit = TASKS[task]
    length = compile_grammar(grammar, bench.tokenizer).longest_answer or limit
    batch = bench.prompts(size)
    free: list[Grammar] = [(Text(),)] * size
    ways = {
        "generate": lambda: bench.baseline(batch, length),
        "ours, no grammar": lambda: bench.ours(batch, free, length),
        "ours, grammar": lambda: bench.token_by_token(batch, [grammar] * size, length),
        "ours": lambda: bench.ours(batch, [grammar] * size, length),
        "ours, medians": lambda: bench.ours(batch, [grammar] * size, length, "median"),
    }
    if grammar == (Text(),):
        del ways["ours, no grammar"], ways["ours, medians"]
    num_tokens = {}
    for name, way in ways.items():  # warms up as well
        num_tokens[name] = sum(len(token_ids) for token_ids in way())
    best = seconds(ways, rounds, clock)
    return {
        "task": task,
        "batch": size,
        "answers_per_s": {name: round(size / s, 3) for name, s in best.items()},
        "tokens_per_s": {name: round(num_tokens[name] / s, 1) for name, s in best.items()},
    }


def mixed(bench: Bench, rounds: int, clock: Callable[[], float]) -> float:
    """Answers a second of 64 numbers in one to eight brackets, four kinds in a batch over one kind."""
    automata = []
    for count in (1, 2, 4, 8):
        regions = Regions(numbers=64 // count, separator="<msep>", count=count)
        automata.append(compile_grammar((regions,), bench.tokenizer))
    batch = bench.prompts(8)
    ways = {
        "alike": lambda: [generate(bench.model, batch, [automaton] * 8) for automaton in automata],
        "mixed": lambda: [generate(bench.model, batch, automata * 2) for _ in automata],
    }
    best = seconds(ways, rounds + 1, clock)
    return best["alike"] / best["mixed"]


def malformed(bench: Bench) -> int:
    """RES and REC answers that cannot be read, of 32 each."""
    batch, codec = bench.prompts(32), Codec()
    total = 0
    for task, read in (("rec", codec.parse_boxes), ("res", codec.parse_masks)):
        grammar, limit = TASKS[task]
        for ids in bench.ours(batch, [grammar] * 32, limit):
            regions, is_malformed = read(bench.tokenizer.decode(ids), (480, 640))
            total += is_malformed or len(regions) != 1
    return total


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--task", nargs="+", default=list(TASKS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    given = parser.parse_args()
    bench = Bench(given.width, given.layers, given.device, getattr(torch, given.dtype))
    is_one_thread = given.device == "cpu" and torch.get_num_threads() == 1
    clock = time.process_time if is_one_thread else time.perf_counter
    rates = {}
    for task, size in product(given.task, given.batch):
        row = measure(bench, task, size, given.rounds, clock)
        rates[task, size] = row["answers_per_s"]
        print(json.dumps(row), flush=True)
    ours = rates["res", 8]["ours"]
    unbatched = rates.get(("res", 1))
    summary = {
        "benchmark": "generate",
        "width": given.width,
        "layers": given.layers,
        "device": given.device,
        "dtype": given.dtype,
        "clock": clock.__name__,
        "threads": torch.get_num_threads(),
        "ratio": round(ours / rates["res", 8]["generate"], 2),
        "ratio_unbatched": round(ours / unbatched["generate"], 2) if unbatched else None,
        "ratio_medians": round(rates["res", 8]["ours, medians"] / ours, 3),
        "ratio_mixed": round(mixed(bench, given.rounds, clock), 3),
        "malformed": malformed(bench),
    }
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
