"""Kills: a run that is killed again and again, resumed on 1, 2 or 4 processes, against one that nobody disturbs.

    python -m benchmarks.kills --kills 20

A small model is trained on a small world. Every few seconds the whole run is killed (-9) and resumed from its newest
intact checkpoint on another number of processes. What survives (the steps up to each checkpoint that was resumed from)
must be the undisturbed run's list of sample ids, step by step, and `done.json` the same. The last line printed is one
JSON object.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any

from lightning import Callback, LightningModule, Trainer

from datamodules.synthetic.world import write_world
from vista.app.runs import newest_intact
from vista.training.checkpoints import read_checkpoint

ROOT = Path(__file__).parents[1]
History = dict[int, dict[str, Any]]  # step -> {"ids", "loss"}
SIZES = [
    "--encoder.weights=null",
    "--encoder.hidden_size=32",
    "--encoder.num_layers=1",
    "--encoder.mlp_size=32",
    "--encoder.num_heads=2",
    "--encoder.image_size=32",
    "--qformer.hidden_size=32",
    "--qformer.num_layers=1",
    "--qformer.mlp_size=32",
    "--qformer.num_heads=2",
    "--qformer.num_queries=3",
    "--llm.hidden_size=32",
    "--llm.num_layers=1",
    "--llm.mlp_size=32",
    "--llm.num_heads=2",
    "--codec.num_points=4",
    "--data.num_workers=0",
    "--data.batch_size=16",
    "--trainer.limit_val_batches=1",
    "--trainer.val_check_interval=0.2",
    "--data.scoring.max_val=4",
    "--save_every=20",
]


class StepIds(Callback):
    """Writes the ids of each step, one file for each process."""

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """One line, at once on the disk."""
        row = {
            "step": trainer.global_step,
            "ids": batch["ids"],
            "loss": float(trainer.callback_metrics["train/loss"]),
        }
        with Path(os.environ["STEP_IDS"], f"{trainer.global_rank}.jsonl").open("a") as file:
            file.write(json.dumps(row) + "\n")


def start(folder: Path, processes: int, words: list[str]) -> subprocess.Popen[bytes]:
    """Begin a run."""
    folder.mkdir(parents=True)
    own = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "STEP_IDS": str(folder)}
    launcher = [sys.executable]
    if processes > 1:
        launcher += ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    # Given for one process, too: the settings of the run that is resumed may name several.
    strategy = "ddp" if processes > 1 else "auto"
    more = [f"--trainer.devices={processes}", f"--trainer.strategy={strategy}"]
    more += ["--trainer.callbacks+=benchmarks.kills.StepIds"]
    command = [*launcher, str(ROOT / "main.py"), *words, *more]
    log = (folder / "log").open("wb")
    return subprocess.Popen(command, env=os.environ | own, stdout=log, stderr=log)


def kill(pid: int) -> None:
    """Kill a process and all below it; torchrun's workers are in sessions of their own."""
    family = [pid]
    for member in family:  # which grows while it is gone through
        with suppress(FileNotFoundError):
            children = Path(f"/proc/{member}/task/{member}/children").read_text().split()
            family += [int(child) for child in children]
    for member in family:
        with suppress(ProcessLookupError):
            os.kill(member, signal.SIGKILL)


def history(folder: Path) -> History:
    """Step -> its ids over all processes, and its loss; only steps that every process has written."""
    ranks = [_rows(file) for file in sorted(folder.glob("*.jsonl"))]
    steps: History = {}
    for rows in zip(*ranks, strict=False):
        ids = list(chain.from_iterable(row["ids"] for row in rows))
        steps[rows[0]["step"]] = {"ids": ids, "loss": rows[0]["loss"]}
    return steps


def _rows(file: Path) -> list[dict[str, Any]]:
    """The rows of one process; a last line without an end was cut off by the kill."""
    lines = file.read_text().split("\n")[:-1]
    return [json.loads(line) for line in lines]


def train_with_kills(
    words: list[str], kills: int, rng: random.Random
) -> tuple[History, list[int], int, Path]:
    """Kill and resume until it is through: surviving history, processes, kills of a running training, the last run."""
    survived: History = {}
    checkpoint, sizes, hits = None, [], 0
    for attempt in range(10 * kills):
        folder = Path(f"step_ids/{attempt}")
        size = rng.choice((1, 2, 4))
        resume = [f"--ckpt_path={checkpoint}"] if checkpoint else []
        process = start(folder, size, [*words, f"--name=killed{attempt}", *resume])
        sizes.append(size)
        while process.poll() is None and not list(folder.glob("0.jsonl")):
            time.sleep(0.2)
        try:
            process.wait(rng.uniform(0.5, 6.0) if hits < kills else None)
        except subprocess.TimeoutExpired:
            kill(process.pid)
            process.wait()
            hits += 1
        else:
            if process.returncode:
                raise RuntimeError((folder / "log").read_text()[-2000:])
            return survived | history(folder), sizes, hits, Path(f"runs/killed{attempt}")
        run = Path(f"runs/killed{attempt}")
        if list(run.glob("checkpoints/*.ckpt")):
            checkpoint = newest_intact(run)
            step = read_checkpoint(checkpoint, lazy=True)["global_step"]
            # What came after the checkpoint is trained once more.
            survived |= {s: row for s, row in history(folder).items() if s <= step}
        print(f"kill {hits}: {size} process(es), {len(survived)} steps survive", flush=True)
    raise RuntimeError("the run does not come to its end")


def main() -> None:
    """Run both and compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    os.chdir(tempfile.mkdtemp())
    write_world(Path("data/small"), num_train=400, num_val=10, num_test=10, num_workers=1)
    words = ["fit", "--config", "stage1", *SIZES, "--data.root=data/small"]
    words += [f"--data.order.epoch_samples={given.steps * 8}", "--data.drop_test_images=false"]
    folder = Path("step_ids/whole")
    process = start(folder, 1, [*words, "--name=whole"])
    if process.wait():
        raise RuntimeError((folder / "log").read_text()[-2000:])
    whole = history(folder)
    survived, sizes, hits, run = train_with_kills(words, given.kills, random.Random(given.seed))
    done = [json.loads((path / "done.json").read_text()) for path in (Path("runs/whole"), run)]
    last = max(whole)
    whole_ids = {step: row["ids"] for step, row in whole.items()}
    survived_ids = {step: row["ids"] for step, row in survived.items()}
    result = {
        "benchmark": "kills",
        "kills": hits,
        "steps": last,
        "processes": sizes,
        "same_ids": whole_ids == survived_ids,
        "same_done": done[0] == done[1],
        "done": done[1],
        "samples": sum(len(ids) for ids in survived_ids.values()),
        "last_losses": (whole[last]["loss"], survived[last]["loss"]),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
