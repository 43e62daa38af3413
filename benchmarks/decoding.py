"""A trained model decoded in two ways, with a paired bootstrap: docs/grammar.md and docs/coordinates.md.

    OMP_NUM_THREADS=1 python -m benchmarks.decoding --run stage1 --samples 500 --draws 1000
    OMP_NUM_THREADS=1 python -m benchmarks.decoding --run stage1 --config tiny_all.yaml
    OMP_NUM_THREADS=1 python -m benchmarks.decoding --run stage1 --setting coordinates --task rec res

Two `test`s of the same checkpoint write their answers below runs/<setting>/, not into the run. The answers are read
back and scored by each task's own evaluator; the scores must be those that the tests printed. The last line printed is
one JSON object.
"""

import argparse
import json
import math
import shutil
import subprocess
import sys
import time
from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from lightning import Callback, LightningModule, Trainer

from datamodules.commands.configured import Setup, read_setup
from datamodules.commands.score import read_scored
from datamodules.source import LoadedSource
from vista.app.intervals import sampled_score
from vista.app.runs import RUNS, find_checkpoint, run_of
from vista.app.settings import defaults, stack
from vista.app.unnamed import read_unnamed
from vista.data import Annotation, Prediction
from vista.metrics.bootstrap import SampledScore, paired
from vista.predictions import from_record, read_records

ROOT = Path(__file__).parents[1]
Row = dict[str, Any]  # of the table, a source each
WAYS = {  # setting of decoding -> its two ways by the names of their columns
    "grammar": {"with": "true", "without": "false"},
    "coordinates": {"median": "median", "mode": "mode"},
}
TITLES = {"grammar": "With the grammar and without", "coordinates": "Medians and modes"}


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


def twin(checkpoint: Path, setting: str, way: str, configs: list[str]) -> Path:
    """A run folder of the same checkpoint and settings, empty but for them, so that `test` writes there."""
    run = run_of(checkpoint)
    folder = RUNS / setting / (run or checkpoint).absolute().name / way
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "checkpoints").mkdir(parents=True)
    settings = read_unnamed(run / "config.yaml").settings if run else stack(defaults(configs))
    (folder / "config.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
    (folder / "checkpoints" / checkpoint.name).symlink_to(checkpoint.absolute())
    return folder


def run_test(folder: Path, value: str, given: argparse.Namespace) -> None:
    """Run `test`; its answers, scores and seconds are in the folder then. On one process, whatever trained the run."""
    (checkpoint,) = (folder / "checkpoints").iterdir()
    words = [f"--config={name}" for name in given.config]
    words += [f"--plugin={name}" for name in given.plugin]
    if given.root:
        words.append(f"--data.root={given.root}")
    words += [
        f"--ckpt_path={checkpoint}",
        f"--model.decoding.{given.setting}={value}",
        f"--data.scoring.max_test={given.samples}",
        "--data.scoring.unseen_prompts=0",
        "--trainer.devices=1",
        "--trainer.strategy=auto",
        "--trainer.callbacks+=benchmarks.decoding.Clock",
    ]
    if given.task:
        words += ["--task", *given.task]
    done = subprocess.run([sys.executable, str(ROOT / "main.py"), "test", *words])
    if done.returncode:
        sys.exit(done.returncode)  # it has said why


def compare(setup: Setup, name: str, folders: dict[str, Path], draws: int) -> Row:
    """The row of one source."""
    scored = read_scored(setup, name)
    sides = headlines(scored, folders)
    first, second = folders
    scores, malformed, seconds = {}, {}, {}
    for way, folder in folders.items():
        scores[way] = sides[way].score
        printed = read_json(folder / "scores_test.json")["all"]
        own = printed[f"test/{name}/{scored.task.headline}"]
        is_same = math.isclose(scores[way], own, rel_tol=1e-5, abs_tol=1e-4)
        assert is_same, (name, way, scores[way], own)
        malformed[way] = sides[way].malformed
        seconds[way] = read_json(folder / "seconds.json")[name]
    low, high = paired(sides[first], sides[second], draws).interval
    return {
        "source": name,
        "metric": scored.task.headline,
        "n": len(sides[first].images),
        **scores,
        "difference": scores[first] - scores[second],
        "low": low,
        "high": high,
        "malformed": malformed,
        "seconds": seconds,
    }


def headlines(scored: LoadedSource, folders: dict[str, Path]) -> dict[str, SampledScore]:
    """The scored answers of both ways, question by question in the same order."""
    records = {}
    for way, folder in folders.items():
        lines = read_records(folder / "predictions" / f"{scored.name}.jsonl")
        records[way] = {record["id"]: record for record in lines}
    first, second = records.values()
    if first.keys() != second.keys():
        raise ValueError(f"{scored.name}: the two tests asked different questions")

    def answer(way: str, annotation: Annotation) -> Prediction | None:
        record = records[way].get(annotation.id)
        return record and from_record(scored.task, annotation, record)

    return {way: sampled_score(scored, partial(answer, way)) for way in folders}


def read_json(path: Path) -> Any:
    """What a JSON file holds."""
    return json.loads(path.read_text())


def verdict(row: Row) -> str:
    """What the interval says, where it leaves out zero."""
    if row["high"] < 0:
        return "**worse**"
    return "better" if row["low"] > 0 else ""


def report(rows: list[Row], run: str, given: argparse.Namespace) -> str:
    """The page, in Markdown."""
    words = "".join(f" --config {name}" for name in given.config)
    if given.root:
        words += f" --data.root {given.root}"
    if given.setting != "grammar":
        words += f" --setting {given.setting}"
    if given.task:
        words += " --task " + " ".join(given.task)
    first, second = WAYS[given.setting]
    lines = [
        f"# {TITLES[given.setting]}",
        "",
        "Written by `benchmarks/decoding.py`; do not edit.",
        "",
        f"    python -m benchmarks.decoding --run {run}{words} --samples {given.samples} --draws {given.draws}",
        "",
        "The same checkpoint answers the same questions twice. The interval is that of the difference in as many draws",
        "of the images with all their questions, the same for both; where it lies wholly below zero the row says",
        "**worse**: one of 40 rows does so by chance where both are alike. In the order of the columns: malformed",
        "answers, and seconds of answering (CPU-seconds on a CPU, else wall seconds).",
        "",
        f"| source | metric | n | {first} | {second} | difference | 95 % interval | | malformed | seconds |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        scores = f"{row[first]:.1f} | {row[second]:.1f} | {row['difference']:+.1f}"
        seconds = f"{row['seconds'][first]:.1f} / {row['seconds'][second]:.1f}"
        malformed = f"{row['malformed'][first]} / {row['malformed'][second]}"
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
    parser.add_argument("--setting", choices=WAYS, default="grammar")
    parser.add_argument("--task", nargs="+", help="tasks; without it all of the run")
    parser.add_argument("--out", type=Path, help="page; without it docs/<setting>.md")
    parser.add_argument("--config", action="append", default=[], help="may be repeated")
    parser.add_argument("--plugin", action="append", default=[], help="file that brings tasks")
    parser.add_argument(
        "--data.root", dest="root", type=Path, help="data root, in the place of the configs'"
    )
    given = parser.parse_args()
    checkpoint = find_checkpoint(given.run)
    ways = WAYS[given.setting]
    folders = {way: twin(checkpoint, given.setting, way, given.config) for way in ways}
    for way, value in ways.items():
        run_test(folders[way], value, given)
    first = next(iter(folders.values()))
    setup = read_setup([str(first / "config.yaml"), *given.config], given.root, given.plugin)
    table = read_json(first / "scores_test.json")["table"]
    rows = [compare(setup, row["name"], folders, given.draws) for row in table]
    run = first.parent.name
    out = given.out or ROOT / "docs" / f"{given.setting}.md"
    out.write_text(report(rows, run, given))
    worse = [row["source"] for row in rows if row["high"] < 0]
    summary = {"benchmark": given.setting, "run": run, "draws": given.draws, "worse": worse}
    print(json.dumps({**summary, "rows": rows}))


if __name__ == "__main__":
    main()
