"""A training step against transformers' InstructBLIP trained the usual way: the same weights and samples, in one run.

    OMP_NUM_THREADS=1 python benchmarks/train.py
    python benchmarks/train.py --device cuda --size 7b

Samples have the lengths, and share images, as in the paper's stage 1 (mixture_lengths.json, made by
mixture_lengths.py). The usual way gives every sample an image of its own, pads all to the longest and computes the
logits of every position. Ours encodes an image once for all its samples, sends samples of about one length through the
LLM together and computes the logits of answers alone; `ratio_compact` adds the compact layout's shorter answers. Loss
and gradients of both on one batch are compared first. Each figure is the best of some rounds, in CPU-seconds on a CPU.
`packing_efficiency` is the share of our positions that hold a token. The last line printed is one JSON object.
"""

import argparse
import copy
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from transformers import InstructBlipConfig, InstructBlipForConditionalGeneration

from callbacks.throughput import peak_memory
from vista.models.length_groups import padded_size
from vista.models.parts import LLM, Encoder, QFormer
from vista.models.vistallm import VistaLLM
from vista.tokens.batch import Sample, collate

LENGTHS = json.loads(Path(__file__).with_name("mixture_lengths.json").read_text())
IMAGE, PAD, VOCABULARY = 3, 0, 4000
# Tokens of a region of so many numbers: one token a number; brackets, and in the paper's layout ", " between numbers.
TOKENS = {
    "paper": lambda numbers: numbers + 2 + 2 * (numbers - 1),
    "compact": lambda numbers: numbers + 2,
}
NUMBERS = {"box": 4, "mask": 64}
SIZES: dict[str, dict[str, dict[str, Any]]] = {
    "small": {
        "encoder": {"image_size": 224, "patch_size": 14, "hidden_size": 256, "num_layers": 4, "mlp_size": 768},
        "qformer": {"num_queries": 32, "hidden_size": 256, "num_layers": 4, "mlp_size": 768,
                    "cross_attention_every": 2},
        "llm": {"hidden_size": 512, "num_layers": 6, "num_heads": 8, "mlp_size": 1536},
    },
    "7b": {
        "encoder": {"image_size": 224, "patch_size": 14, "hidden_size": 1408, "num_layers": 39, "num_heads": 16,
                    "mlp_size": 6144},
        "qformer": {"num_queries": 32, "hidden_size": 768, "num_layers": 12, "num_heads": 12, "mlp_size": 3072,
                    "cross_attention_every": 2},
        "llm": {"hidden_size": 4096, "num_layers": 32, "num_heads": 32, "mlp_size": 11008, "tie_embeddings": False},
    },
}  # fmt: skip


class Lengths(NamedTuple):
    """Of one sample: its image, and tokens of prompt and answer."""

    image: str
    prompt: int
    answer: dict[str, int]


def draw(count: int, questions_per_image: int, rng: np.random.Generator) -> list[Lengths]:
    """Samples of the mixture, in groups that share an image as `datamodules.order` makes them."""
    names = list(LENGTHS)
    groups = {
        n: max(1, min(questions_per_image, round(LENGTHS[n]["samples_of_an_image"]))) for n in names
    }
    weights = np.array([LENGTHS[n]["samples"] / groups[n] for n in names])
    drawn: list[Lengths] = []
    while len(drawn) < count:
        name = str(rng.choice(names, p=weights / weights.sum()))
        source, image = LENGTHS[name], f"image {len(drawn)}"
        for _ in range(min(groups[name], count - len(drawn))):
            words, regions = int(rng.choice(source["answer"])), int(rng.choice(source["regions"]))
            numbers = NUMBERS[source["region"]]
            answer = {
                layout: words + regions * tokens(numbers) + 1 for layout, tokens in TOKENS.items()
            }
            drawn.append(Lengths(image, int(rng.choice(source["prompt"])), answer))
    return drawn


def write(lengths: list[Lengths], layout: str, seed: int) -> list[Sample]:
    """Samples of random tokens with these lengths."""
    rng = np.random.default_rng(seed)
    samples = []
    for each in lengths:
        prompt = rng.integers(4, VOCABULARY, each.prompt).tolist()
        answer = rng.integers(4, VOCABULARY, each.answer[layout]).tolist()
        labels = [-100] * (len(prompt) + 2) + answer
        samples.append(Sample((each.image,), [1, IMAGE, *prompt, *answer], labels, prompt))
    return samples


class Padding:
    """What `collate` asks of a tokenizer."""

    image_id, pad_id = IMAGE, PAD


def batch_of(samples: list[Sample], queries: int, side: int, device: str) -> dict[str, Any]:
    """A batch on the device; an image's pixels depend on its name alone."""
    names = dict.fromkeys(name for sample in samples for name in sample.images)
    images = {
        n: torch.randn(3, side, side, generator=torch.Generator().manual_seed(hash(n) % 997))
        for n in names
    }
    batch = collate(samples, images, Padding(), queries)  # type: ignore[arg-type]
    return {key: value.to(device) for key, value in batch.items()}


def transformers_twin(ours: VistaLLM) -> InstructBlipForConditionalGeneration:
    """Transformers' own model of the same sizes and weights, in evaluation mode."""
    parts: Any = ours
    text = {k: v for k, v in parts.language_model.config.to_dict().items() if k != "architectures"}
    config = InstructBlipConfig(
        vision_config=parts.vision_model.config.to_dict(),
        qformer_config=ours.qformer.config.to_dict(),
        text_config=text,
        num_query_tokens=ours.qformer.num_queries,
        image_token_index=ours.image_token_id,
    )
    twin = InstructBlipForConditionalGeneration(copy.deepcopy(config)).eval()
    result = twin.load_state_dict(ours.state_dict(), strict=False)
    assert not result.unexpected_keys and set(result.missing_keys) <= {
        "language_model.lm_head.weight"
    }
    twin.tie_weights()
    return twin


class Bench:
    """Both models with the same weights."""

    def __init__(self, size: str, device: str, length_groups: int) -> None:
        torch.manual_seed(0)
        parts, dtype = SIZES[size], torch.bfloat16 if size == "7b" else torch.float32
        torch.set_default_dtype(dtype)
        width = parts["encoder"]["hidden_size"]
        with torch.device(device):
            encoder = Encoder(**parts["encoder"]).requires_grad_(False)
            qformer = QFormer(vocab_size=VOCABULARY, encoder_hidden_size=width, **parts["qformer"])
            llm = LLM(vocab_size=VOCABULARY, **parts["llm"]).requires_grad_(
                size != "7b"
            )  # 7b: stage 2, on one card
            self.ours = VistaLLM(encoder, qformer, llm, IMAGE, length_groups)
        self.queries, self.side, self.device = (
            qformer.num_queries,
            parts["encoder"]["image_size"],
            device,
        )
        self.usual: InstructBlipForConditionalGeneration | None = None
        if size != "7b":
            self.usual = transformers_twin(self.ours).to(device).train()
            self.usual.vision_model.requires_grad_(False)
        torch.set_default_dtype(torch.float32)

    def our_loss(self, batch: dict[str, Any]) -> Tensor:
        """Mean over the tokens of all answers."""
        return self.ours(batch).sum() / (batch["labels"][:, 1:] >= 0).sum()

    def usual_loss(self, batch: dict[str, Any]) -> Tensor:
        """The same, by transformers."""
        assert self.usual is not None
        return self.usual(
            pixel_values=batch["pixel_values"][batch["image_index"]],
            qformer_input_ids=batch["instruction_ids"],
            qformer_attention_mask=batch["instruction_mask"],
            input_ids=batch["input_ids"],
            attention_mask=batch["attention_mask"],
            labels=batch["labels"],
        ).loss

    def compare(self, batch: dict[str, Any]) -> float:
        """Largest difference of the losses and of any gradient, in units of the largest gradient of its tensor."""
        assert self.usual is not None
        losses = self.our_loss(batch), self.usual_loss(batch)
        for loss in losses:
            loss.backward()
        worst = abs(losses[0].item() - losses[1].item())
        grads = {name: p.grad for name, p in self.usual.named_parameters() if p.grad is not None}
        for name, p in self.ours.named_parameters():
            if p.grad is not None:
                worst = max(
                    worst,
                    (
                        (p.grad - grads[name]).abs().max() / p.grad.abs().max().clamp(min=1e-3)
                    ).item(),
                )
        for model in (self.ours, self.usual):
            model.zero_grad()
        return worst


def timed(step: Callable[[], Tensor], model: torch.nn.Module, device: str) -> float:
    """Seconds of forward and backward."""
    clock = time.process_time if device == "cpu" else time.perf_counter
    if device != "cpu":
        torch.cuda.synchronize()
    began = clock()
    step().backward()
    if device != "cpu":
        torch.cuda.synchronize()
    seconds = clock() - began
    model.zero_grad()
    return seconds


def forget_peak(device: str) -> None:
    """Let the peak of memory begin anew, so that each way has its own."""
    if device == "cpu":
        Path("/proc/self/clear_refs").write_text("5")
    else:
        torch.cuda.reset_peak_memory_stats()


def efficiency(batches: list[dict[str, Any]], groups: int) -> float:
    """Share of the positions in our groups of rows that hold a token."""
    lengths = [batch["attention_mask"].sum(1).tolist() for batch in batches]
    return sum(map(sum, lengths)) / sum(padded_size(each, groups) for each in lengths)


def main() -> None:
    """Compare, time and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--batches", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--questions-per-image", type=int, default=4)
    parser.add_argument("--length-groups", type=int, default=8)
    given = parser.parse_args()
    bench, rng = Bench(given.size, given.device, given.length_groups), np.random.default_rng(0)
    drawn = [draw(given.batch_size, given.questions_per_image, rng) for _ in range(given.batches)]
    batches = {
        layout: [
            batch_of(write(d, layout, i), bench.queries, bench.side, given.device)
            for i, d in enumerate(drawn)
        ]
        for layout in TOKENS
    }
    result: dict[str, Any] = {
        "size": given.size,
        "device": given.device,
        "threads": torch.get_num_threads(),
    }
    result["length_groups"] = given.length_groups
    result["packing_efficiency"] = efficiency(batches["paper"], bench.ours.length_groups)
    if bench.usual is not None:
        result["largest_difference"] = bench.compare(batches["paper"][0])
    ways: dict[str, tuple[torch.nn.Module, Callable[[Any], Tensor], str]] = {
        "ours": (bench.ours, bench.our_loss, "paper"),
        "ours_compact": (bench.ours, bench.our_loss, "compact"),
    }
    if bench.usual is not None:
        ways["usual"] = (bench.usual, bench.usual_loss, "paper")
    for name, (model, loss, layout) in ways.items():
        forget_peak(given.device)
        best = [np.inf] * given.batches
        for _ in range(given.rounds):
            for i, batch in enumerate(batches[layout]):
                best[i] = min(best[i], timed(partial(loss, batch), model, given.device))
        tokens = sum(int(b["attention_mask"].sum()) for b in batches[layout])
        samples, seconds = given.batch_size * given.batches, float(np.sum(best))
        result |= {
            f"{name}_samples_per_s": samples / seconds,
            f"{name}_tokens_per_s": tokens / seconds,
        }
        result[f"{name}_peak_gb"] = peak_memory(torch.device(given.device))
        print(
            f"{name}: {samples / seconds:.1f} samples/s, {tokens / seconds:.0f} tokens/s",
            flush=True,
        )
    if bench.usual is not None:
        result["ratio"] = result["ours_samples_per_s"] / result["usual_samples_per_s"]
        result["ratio_compact"] = (
            result["ours_compact_samples_per_s"] / result["usual_samples_per_s"]
        )
    print(json.dumps({k: round(v, 7) if isinstance(v, float) else v for k, v in result.items()}))


if __name__ == "__main__":
    main()
