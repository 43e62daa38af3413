"""How masks are written, arm against arm at the same CPU-seconds of training, written to docs/ablations.md.

    python -m benchmarks.ablations --cpu_s 240                                   methods x points
    python -m benchmarks.ablations --cpu_s 240 --cross fast+points16             x bracket_layout x loss_per
    python -m benchmarks.ablations --arms adaptive+points32 fast+points16+paper  some of them

An arm is a stack of configs/ablations/*.yaml on top of stage1.yaml and base.yaml. What a step of it costs is measured
on two short runs that differ by 30 steps; an epoch is then as long as the budget allows for two of them. CPU-seconds
are those of `os.wait4`: the process on one thread, and its loader processes, whose end it waits for. They rise where
another core is busy, so arms to be compared take the same `--jobs`. Results are kept below runs/ablations/, an arm that
has one is not run again, and the page shows all of them. The last line printed is one JSON object.
"""

import argparse
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.results import ROOT, run
from datamodules.commands.configured import Setup, read_setup
from vista.app.runs import find_file
from vista.app.settings import make_part
from vista.geometry import decode_segmentation
from vista.metrics.overlap import mask_iou, union_mask
from vista.tokens.tokenizer import Tokenizer

METHODS = ("uniform", "adaptive")
POINTS = ("points8", "points16", "points24", "points32")
# Figure 4 of the paper, and the methods that hold more.
ARMS = [f"{method}+{points}" for points, method in product(POINTS, METHODS)]
ARMS += [
    f"{method}+{points}" for points, method in product(POINTS[1::2], ("adaptive_refine", "fast"))
]
PARTS = [
    "no_tokenizer",
    "scratch_encoder",
]  # Tables 9 and F.1; those of the paper's size are no arms of the tiny one
# Without these: compact brackets, decisions weigh alike.
CROSS = ("", "+paper", "+token", "+paper+token")
EPOCHS = 2  # of stage1.yaml; the first one is sorted
SHORT, LONG = 5, 35  # steps of the runs that are measured
Row = dict[str, Any]  # of the table, an arm each
FINDINGS = "<!-- What follows is written by hand and kept. -->"


def configs(arm: str) -> list[str]:
    """The files of an arm, the later deciding."""
    names = ["base", *arm.split("+")]
    return ["stage1.yaml", *(f"ablations/{name}.yaml" for name in names)]


def step_cost(short: float, long: float) -> tuple[float, float]:
    """CPU-seconds of a step, and of all that is no step, of the CPU-seconds of two runs."""
    step = (long - short) / (LONG - SHORT)
    if step <= 0:
        found = f"{LONG} steps took {long:.1f} CPU-seconds, {SHORT} took {short:.1f}"
        raise ValueError(f"{found}: nothing to go by")
    return step, short - SHORT * step


def epoch_steps(cpu_s: float, step: float) -> int:
    """Steps of an epoch, so that all epochs cost the budget; at least one."""
    return max(1, round(cpu_s / (EPOCHS * step)))


def train(arm: str, name: str, seed: int, *words: str) -> float:
    """CPU-seconds of one `fit`, on one thread; its run is `runs/<name>`."""
    shutil.rmtree(ROOT / "runs" / name, ignore_errors=True)  # of a call that was killed
    files = [f"--config={file}" for file in configs(arm)]
    seeds = [f"--seed_everything={seed}", f"--data.order.seed={seed}"]
    return run(["fit", *files, f"--name={name}", *seeds, *words], threads=1)["cpu_s"]


def measure_step(arm: str, name: str, seed: int) -> tuple[float, float]:
    """CPU-seconds of a step of an arm, and of the rest of a run; shuffled, as an epoch is on average."""
    words = ("--data.order.sorted_epochs=0", "--trainer.log_every_n_steps=1000")
    short = train(arm, name, seed, *words, f"--trainer.max_steps={SHORT}")
    long = train(arm, name, seed, *words, f"--trainer.max_steps={LONG}")
    shutil.rmtree(ROOT / "runs" / name)
    return step_cost(short, long)


def codec_bound(setup: Setup) -> tuple[float, float]:
    """Mean IoU in percent of the validation masks, each once, after encode and decode; and tokens a mask."""
    source = setup.sources["res_refcoco"]
    annotations = setup.splits.read("res_refcoco", source, source.val)
    setup.settings["tokenizer"]["folder"] = find_file(setup.settings["tokenizer"]["folder"])
    tokenizer = make_part(Tokenizer, setup.settings, "tokenizer")
    # Several expressions may speak of one mask.
    by_mask = {(annotation.images, annotation.boxes): annotation for annotation in annotations}
    ious, tokens = [], []
    for annotation in by_mask.values():
        mask = decode_segmentation(annotation.segmentations[0], annotation.sizes[0])
        text = setup.codec.mask_to_text(mask)
        decoded, _ = setup.codec.parse_masks(text, annotation.sizes[0])
        ious.append(mask_iou(union_mask(decoded, mask.shape), mask))
        tokens.append(len(tokenizer.encode(text)))
    return 100 * float(np.mean(ious)), float(np.mean(tokens))


def one_arm(arm: str, folder: Path, cpu_s: float, seed: int) -> Row:
    """Train and score an arm, or read what was found before."""
    result = folder / f"{arm}.json"
    if result.is_file():
        return json.loads(result.read_text())
    name = str((folder / arm).relative_to(ROOT / "runs"))
    setup = read_setup(configs(arm), None, [])
    step, rest = measure_step(arm, f"{name}.short", seed)
    samples = epoch_steps(cpu_s, step) * setup.settings["data"]["batch_size"]
    used = train(arm, name, seed, f"--data.order.epoch_samples={samples}")
    run(["validate", f"--ckpt_path=runs/{name}", "--trainer.limit_val_batches=1.0"], threads=1)
    run_folder = ROOT / "runs" / name
    scores = json.loads((run_folder / "scores_val.json").read_text())["all"]
    bound, tokens = codec_bound(setup)
    row = {
        "arm": arm,
        "step_cpu_s": step,
        "cpu_s": used - rest,
        "steps": json.loads((run_folder / "done.json").read_text())["step"],
        "rec_pr50": scores["val/rec_refcoco/pr50"],
        "res_miou": scores["val/res_refcoco/mIoU"],
        "n": [int(scores["val/rec_refcoco/n"]), int(scores["val/res_refcoco/n"])],
        "bound": bound,
        "tokens": tokens,
    }
    result.write_text(json.dumps(row) + "\n")
    return row


def report(rows: list[Row], cpu_s: float, seed: int, before: str = "") -> str:
    """The page, in Markdown; what was written by hand stays."""
    lines = [
        "# How masks are written",
        "",
        "Written by `benchmarks/ablations.py`; do not edit above the mark. REC and RES on the generated world from the",
        f"start, {EPOCHS} epochs that cost about {cpu_s:g} CPU-seconds (one thread, loader processes included;",
        f"start-up and scoring are not), seed {seed}. An arm is a stack of `configs/ablations/*.yaml`; without `paper`",
        "brackets are compact, without `token` decisions weigh alike. Scores are of the end of training, on n",
        "questions of the validation split (REC, RES); the bound is the mean IoU of all its masks after decoding.",
        "",
        "| arm | tokens a mask | CPU-ms a step | steps | CPU-seconds | REC pr50 | RES mIoU | n | bound |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in sorted(rows, key=lambda row: (row["arm"].count("+"), row["arm"])):
        step_ms = 1000 * row["step_cpu_s"]
        cost = f"{row['tokens']:.0f} | {step_ms:.0f} | {row['steps']} | {row['cpu_s']:.0f}"
        numbers = f"{row['n'][0]}, {row['n'][1]}"
        scores = f"{row['rec_pr50']:.1f} | {row['res_miou']:.1f} | {numbers} | {row['bound']:.2f}"
        lines.append(f"| {row['arm']} | {cost} | {scores} |")
    by_hand = before.partition(FINDINGS)[2] or "\n"
    return "\n".join([*lines, "", FINDINGS]) + by_hand


def main() -> None:
    """Run the arms and write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cpu_s", type=float, default=240, help="CPU-seconds of training an arm")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1, help="arms at a time")
    parser.add_argument(
        "--arms", nargs="+", default=[], metavar="ARM", help="default: methods x points"
    )
    parser.add_argument(
        "--cross", nargs="+", default=[], metavar="ARM", help="arms x bracket_layout x loss_per"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "ablations.md")
    given = parser.parse_args()
    cross_arms = [f"{arm}{more}" for arm, more in product(given.cross, CROSS)]
    arms = [*given.arms, *cross_arms] or ARMS
    for arm in arms:
        read_setup(configs(arm), None, [])  # a wrong name is found before an hour has passed
    folder = ROOT / "runs" / "ablations" / f"{given.cpu_s:g}s_seed{given.seed}"
    folder.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(given.jobs) as pool:
        one = partial(one_arm, folder=folder, cpu_s=given.cpu_s, seed=given.seed)
        list(pool.map(one, arms))
    results = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    before = given.out.read_text() if given.out.is_file() else ""
    given.out.write_text(report(results, given.cpu_s, given.seed, before))
    settings = {"benchmark": "ablations", "cpu_s": given.cpu_s, "seed": given.seed}
    print(json.dumps({**settings, "results": results}))


if __name__ == "__main__":
    main()
