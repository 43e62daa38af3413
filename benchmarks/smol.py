"""The whole way with real weights: `python -m benchmarks.smol --data ROOT` (examples/smol_weights.py before it).

ROOT holds photographs with official files: COCO 2017 (captions, instances), RefCOCO, VQAv2, in the folders that
docs/sources.md names; a few dozen samples of each are enough. First the LLM alone continues a sentence. Then `fit`
makes some steps over all tasks, `export` writes the model, and the checkpoint and the folder are asked the same
questions. A run of its own folder each; what lies under it is left there.

The last line is JSON: the loss of each task in the first and the last steps, and the answers.
"""

import csv
import json
import subprocess
import sys
from argparse import ArgumentParser
from pathlib import Path
from statistics import mean

import torch
import yaml
from transformers import AutoModelForCausalLM

from vista.tokens.tokenizer import Tokenizer

ROOT = Path(__file__).resolve().parents[1]
LLM = Path("checkpoints/smol/smollm2")
BEGINNING = "The capital of France is"
SOURCES = {
    "caption": {"task": "caption", "dataset": "coco", "train": "train2017"},
    "vqav2": {"task": "vqav2", "dataset": "vqav2", "train": "train"},
    "rec": {"task": "rec", "dataset": "refcoco", "train": "train"},
    "res": {"task": "res", "dataset": "refcoco", "train": "train"},
    "reg": {"task": "reg", "dataset": "refcoco", "train": "train"},
    "coseg": {"task": "coseg", "dataset": "coseg_groups", "train": "train2017"},
}
ASKED = {"caption": "", "rec": "the person", "vqav2": "What is in the picture?"}
ENDS = 4  # steps at both ends whose losses are averaged


def main() -> None:
    """Print what is seen, then a line of JSON."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--batch", type=int, default=6)
    args = parser.parse_args()
    found: dict[str, object] = {"continued": continued()}
    print(found["continued"], flush=True)
    found["losses"] = trained(args.data.resolve(), args.steps, args.batch)
    print(found["losses"], flush=True)
    _command(
        "export", "--ckpt_path", "runs/smol", "--out", "runs/smol/exported", "--dtype", "float32"
    )
    photograph = next(args.data.glob("coco/val2017/*.jpg"))
    answers = {
        model: [answer(model, task, text, photograph) for task, text in ASKED.items()]
        for model in ("runs/smol", "runs/smol/exported")
    }
    found["answers"], found["same"] = (
        answers["runs/smol"],
        len({*map(tuple, answers.values())}) == 1,
    )
    print(json.dumps(found))


@torch.no_grad()
def continued() -> str:
    """What the LLM makes of a beginning, by our tokenizer."""
    tokenizer = Tokenizer(LLM, bracket_layout="compact")
    llm = AutoModelForCausalLM.from_pretrained(LLM).eval()
    ids = torch.tensor([tokenizer.encode(BEGINNING, continued=True)])
    return tokenizer.decode(llm.generate(ids, max_new_tokens=8, do_sample=False)[0].tolist())


def trained(data: Path, steps: int, batch: int) -> dict[str, tuple[float, float]]:
    """A short training; of each source, the mean loss in its first steps and in its last."""
    config = Path("smol_photographs.yaml")
    place = {"data": {"root": str(data), "sources": SOURCES, "allow_missing": True}}
    config.write_text(yaml.safe_dump(place))
    _command(
        "fit", "--config", "stage1", "--config", "smol", "--config", config, "--name", "smol",
        "--data.tasks", "null", "--data.batch_size", batch, "--data.order.epoch_samples", steps * batch,
        "--data.num_workers", 0, "--trainer.max_epochs", 1, "--trainer.log_every_n_steps", 1,
        "--trainer.limit_val_batches", 0,
    )  # fmt: skip
    with Path("runs/smol/logs/metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    ends = {}
    for source in SOURCES:
        seen = [float(row[key]) for row in rows if row.get(key := f"train/{source}/loss")]
        ends[source] = round(mean(seen[:ENDS]), 3), round(mean(seen[-ENDS:]), 3)
    return ends


def answer(model: str, task: str, text: str, photograph: Path) -> str:
    """What a model says of a photograph."""
    asked = ["--ckpt_path", model, "--task", task, "--images", photograph, "--text", text]
    return _command("predict", *asked).splitlines()[-1]


def _command(*words: object) -> str:
    line = [sys.executable, str(ROOT / "main.py"), *map(str, words)]
    done = subprocess.run(line, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout


if __name__ == "__main__":
    main()
