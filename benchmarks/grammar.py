"""A trained model with the grammar and without, every score with a paired bootstrap, written to docs/grammar.md.

    OMP_NUM_THREADS=1 python -m benchmarks.grammar --run stage1 --samples 500 --draws 1000
    OMP_NUM_THREADS=1 python -m benchmarks.grammar --run stage1 --config tiny_all.yaml

Two `test`s of the same checkpoint write their answers below runs/grammar/, not into the run. The answers are read back
and scored by each task's own evaluator; the scores must be those that the tests printed. The last line printed is one
JSON object.
"""

import argparse
import json
import math
import shutil
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from lightning import Callback, LightningModule, Trainer

from benchmarks.bootstrap import Headline, draw, interval
from datamodules.commands.configured import Setup, add_arguments, read_setup
from datamodules.commands.score import read_scored
from vista.app.runs import RUNS, find_checkpoint, run_of
from vista.app.settings import defaults, stack
from vista.predictions import from_record, read_records

ROOT = Path(__file__).parents[1]
WAYS = {"with": "true", "without": "false"}


class Clock(Callback):
    """Writes the seconds in which the questions of each source are answered: CPU-seconds on a CPU, else wall."""

    def __init__(self) -> None:
        """Start at zero."""
        self.seconds: dict[str, float] = defaultdict(float)

    def on_test_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """The batch is there."""
        self.clock = time.process_time if pl_module.device.type == "cpu" else time.perf_counter
        self.began = self.clock()

    def on_test_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:  # fmt: skip
        """Its answers are there."""
        self.seconds[batch["source"]] += self.clock() - self.began

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave the figures beside the scores."""
        Path(trainer.default_root_dir, "seconds.json").write_text(json.dumps(self.seconds))


def twin(checkpoint: Path, way: str, configs: list[str]) -> Path:
    """A run folder of the same checkpoint and settings, empty but for them, so that `test` writes there."""
    run = run_of(checkpoint)
    folder = RUNS / "grammar" / (run or checkpoint).absolute().name / way
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "checkpoints").mkdir(parents=True)
    settings = stack([run / "config.yaml"] if run else defaults(configs))
    (folder / "config.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
    (folder / "checkpoints" / checkpoint.name).symlink_to(checkpoint.absolute())
    return folder


def run_test(folder: Path, grammar: str, given: argparse.Namespace) -> None:
    """Run `test`; its answers, scores and seconds are in the folder then. On one process, whatever trained the run."""
    (checkpoint,) = (folder / "checkpoints").iterdir()
    words = [f"--config={name}" for name in given.config] + [
        f"--plugin={name}" for name in given.plugin
    ]
    words += [f"--data.root={given.root}"] if given.root else []
    words += [
        f"--ckpt_path={checkpoint}",
        f"--model.decoding.grammar={grammar}",
        f"--data.scoring.max_test={given.samples}",
    ]
    words += ["--data.scoring.unseen_prompts=0", "--trainer.devices=1", "--trainer.strategy=auto"]
    words += ["--trainer.callbacks+=benchmarks.grammar.Clock"]
    done = subprocess.run([sys.executable, str(ROOT / "main.py"), "test", *words])
    if done.returncode:
        sys.exit(done.returncode)  # it has said why


def compare(setup: Setup, name: str, folders: dict[str, Path], draws: int) -> dict[str, Any]:
    """The row of one source."""
    scored = read_scored(setup, name)
    found = {
        w: {r["id"]: r for r in read_records(f / "predictions" / f"{name}.jsonl")}
        for w, f in folders.items()
    }
    if found["with"].keys() != found["without"].keys():
        raise ValueError(f"{name}: the two tests asked different questions")
    sides = {way: Headline(scored.task) for way in WAYS}
    for annotation in (a for a in scored.annotations if a.id in found["with"]):
        reference = scored.task.reference(annotation)
        for way, side in sides.items():
            side.add(from_record(scored.task, annotation, found[way][annotation.id]), reference)
    units = len(sides["with"])
    scores = {way: float(side(np.ones((1, units), int))[0]) for way, side in sides.items()}
    for way, folder in folders.items():
        own = json.loads((folder / "scores_test.json").read_text())["all"][
            f"test/{name}/{scored.task.headline}"
        ]
        assert math.isclose(scores[way], own, rel_tol=1e-5, abs_tol=1e-4), (
            name,
            way,
            scores[way],
            own,
        )
    counts = draw(units, draws)
    low, high = interval(sides["with"](counts) - sides["without"](counts))
    return {
        "source": name, "metric": scored.task.headline, "n": units, **scores,
        "difference": scores["with"] - scores["without"], "low": low, "high": high,
        "malformed": {way: side.malformed for way, side in sides.items()},
        "seconds": {way: json.loads((f / "seconds.json").read_text())[name] for way, f in folders.items()},
    }  # fmt: skip


def verdict(row: dict[str, Any]) -> str:
    """What the interval says, where it leaves out zero."""
    return "**worse**" if row["high"] < 0 else "better" if row["low"] > 0 else ""


def report(rows: list[dict[str, Any]], run: str, given: argparse.Namespace) -> str:
    """The page, in Markdown."""
    configs = "".join(f" --config {name}" for name in given.config)
    lines = [
        "# With the grammar and without",
        "",
        "Written by `benchmarks/grammar.py`; do not edit.",
        "",
        f"    python -m benchmarks.grammar --run {run}{configs} --samples {given.samples} --draws {given.draws}",
        "",
        "The same checkpoint answers the same questions twice. The interval is that of the difference in as many draws",
        "of the questions (of VCR: of pairs of them), the same for both; where it lies wholly below zero the row says",
        "**worse**: one of 40 rows does so by chance where both are alike. With / without: malformed answers (what",
        "`test` counts as malformed), and seconds of answering (CPU-seconds on a CPU, else wall seconds).",
        "",
        "| source | metric | n | with | without | difference | 95 % interval | | malformed | seconds |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        scores = f"{row['with']:.1f} | {row['without']:.1f} | {row['difference']:+.1f}"
        seconds = f"{row['seconds']['with']:.1f} / {row['seconds']['without']:.1f}"
        malformed = f"{row['malformed']['with']} / {row['malformed']['without']}"
        between = f"{row['low']:+.1f} .. {row['high']:+.1f} | {verdict(row)}"
        names = f"{row['source']} | {row['metric']} | {row['n']}"
        lines.append(f"| {names} | {scores} | {between} | {malformed} | {seconds} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Test twice, compare and write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--run", required=True, help="name of a finished run, its folder, or a checkpoint"
    )
    parser.add_argument("--samples", type=int, default=500, help="questions of each source")
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "grammar.md")
    add_arguments(parser)
    given = parser.parse_args()
    checkpoint = find_checkpoint(given.run)
    folders = {way: twin(checkpoint, way, given.config) for way in WAYS}
    for way, grammar in WAYS.items():
        run_test(folders[way], grammar, given)
    setup = read_setup(
        [str(folders["with"] / "config.yaml"), *given.config], given.root, given.plugin
    )
    table = json.loads((folders["with"] / "scores_test.json").read_text())["table"]
    rows = [compare(setup, row["name"], folders, given.draws) for row in table]
    run = folders["with"].parent.name
    given.out.write_text(report(rows, run, given))
    worse = [row["source"] for row in rows if row["high"] < 0]
    print(
        json.dumps(
            {"benchmark": "grammar", "run": run, "draws": given.draws, "worse": worse, "rows": rows}
        )
    )


if __name__ == "__main__":
    main()
