"""Kills: a run that is killed again and again, resumed on 1, 2 or 4 processes, against one that nobody disturbs.

    python -m benchmarks.kills --kills 20
    python -m benchmarks.kills --kills 20 --sharded

A small model is trained on a small world. Every few seconds the whole run is killed (-9), every second time while it
saves, and resumed from its newest intact checkpoint on another number of processes. What survives (the steps up to each
checkpoint that was resumed from) must be the undisturbed run's list of sample ids, step by step, and `done.json` the
same. Every checkpoint that a kill leaves must be sound; those of shards must be of one step in all their tensors. The
last line printed is one JSON object.
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
from pathlib import Path

from benchmarks.kill_outcome import Outcome, checkpoints_of, unfinished_of
from benchmarks.step_ids import history
from datamodules.synthetic.world import write_world
from vista.app.runs import newest_intact
from vista.training.checkpoints import read_states

ROOT = Path(__file__).parents[1]
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
    "--data.scoring.max_val=4",
    "--save_every=20",
]
ALONE = ["--trainer.val_check_interval=0.2"]  # each process has all weights
SHARDED = [
    "--model.optimization.optimizer=adamw",
    "--trainer.callbacks+=benchmarks.step_tags.StepTags",
    "--trainer.strategy=vista.training.sharded_strategy.ShardedStrategy",
    "--trainer.strategy.init_args.data_parallel_size=1",
    "--trainer.strategy.init_args.process_group_backend=gloo",
]


def start(folder: Path, processes: int, words: list[str]) -> subprocess.Popen[bytes]:
    """Begin a run."""
    folder.mkdir(parents=True)
    own = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "STEP_IDS": str(folder)}
    launcher = [sys.executable]
    if processes > 1:
        launcher += ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    # Given for one process, too: the settings of the run that is resumed may name several.
    more = [f"--trainer.devices={processes}", "--trainer.accelerator=cpu"]
    if not set(SHARDED) <= set(words):
        more += [f"--trainer.strategy={'ddp' if processes > 1 else 'auto'}"]
    more += ["--trainer.callbacks+=benchmarks.step_ids.StepIds"]
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


def train_with_kills(words: list[str], kills: int, rng: random.Random) -> tuple[Outcome, Path]:
    """Kill and resume until it is through; with the last run."""
    outcome, checkpoint = Outcome(), None
    for attempt in range(10 * kills):
        run = Path(f"runs/killed{attempt}")
        size = rng.choice((1, 2, 4))
        resume = [f"--ckpt_path={checkpoint}"] if checkpoint else []
        folder = Path(f"step_ids/{attempt}")
        process = start(folder, size, [*words, f"--name={run.name}", *resume])
        outcome.sizes.append(size)
        if ends(process, folder, run, rng if outcome.kills < kills else None):
            if process.returncode:
                raise RuntimeError((folder / "log").read_text()[-2000:])
            outcome.survived |= history(folder)
            return outcome, run
        kill(process.pid)
        process.wait()
        outcome.kills += 1
        outcome.inspect(run)
        if checkpoints_of(run):
            checkpoint = newest_intact(run)
            step = read_states(checkpoint)["global_step"]
            # What came after the checkpoint is trained once more.
            outcome.survived |= {s: row for s, row in history(folder).items() if s <= step}
        print(
            f"kill {outcome.kills}: {size} process(es), {len(outcome.survived)} steps survive",
            flush=True,
        )
    raise RuntimeError("the run does not come to its end")


def ends(
    process: subprocess.Popen[bytes], folder: Path, run: Path, rng: random.Random | None
) -> bool:
    """Wait for the end of a run, or for a moment at which it is to be killed; whether it has ended.

    Args:
        process: of the run.
        folder: where its steps are written.
        run: its folder.
        rng: draws the moment, every second one within a save; None: it is not killed.
    """
    while process.poll() is None and not list(folder.glob("0.jsonl")):
        time.sleep(0.1)
    if rng is None:
        process.wait()
    else:
        with suppress(subprocess.TimeoutExpired):
            process.wait(rng.uniform(0.5, 4.0))
        if rng.random() < 0.5:  # a save that has something to spoil
            while process.poll() is None and not (unfinished_of(run) and checkpoints_of(run)):
                time.sleep(0.001)
            time.sleep(rng.uniform(0.0, 0.03))
    return process.poll() is not None


def main() -> None:
    """Run both and compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--sharded", action="store_true", help="the processes share the weights")
    parser.add_argument("--steps", type=int, default=0, help="0: enough for 20 kills")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    os.chdir(tempfile.mkdtemp())
    write_world(Path("data/small"), num_train=400, num_val=10, num_test=10, num_workers=1)
    words = ["fit", "--config", "stage1", *SIZES, "--data.root=data/small"]
    # At the end of each epoch `last` is written over the one before.
    mode, epochs, steps = (SHARDED, 30, 1200) if given.sharded else (ALONE, 2, 3000)
    words += [*mode, f"--trainer.max_epochs={epochs}", "--data.drop_test_images=false"]
    words += [f"--data.order.epoch_samples={(given.steps or steps) * 16 // epochs}"]
    folder = Path("step_ids/whole")
    process = start(folder, 1, [*words, "--name=whole"])
    if process.wait():
        raise RuntimeError((folder / "log").read_text()[-2000:])
    whole = history(folder)
    outcome, run = train_with_kills(words, given.kills, random.Random(given.seed))
    survived = outcome.survived
    done = [json.loads((path / "done.json").read_text()) for path in (Path("runs/whole"), run)]
    last = max(whole)
    whole_ids = {step: row["ids"] for step, row in whole.items()}
    survived_ids = {step: row["ids"] for step, row in survived.items()}
    result = {
        "benchmark": "kills",
        "sharded": given.sharded,
        "kills": outcome.kills,
        "while_saving": outcome.while_saving,
        "steps": last,
        "processes": outcome.sizes,
        "checkpoints": outcome.checkpoints,
        "tensors": outcome.tensors,
        "faults": outcome.faults,
        "same_ids": whole_ids == survived_ids,
        "same_done": done[0] == done[1],
        "done": done[1],
        "samples": sum(len(ids) for ids in survived_ids.values()),
        "last_losses": (whole[last]["loss"], survived[last]["loss"]),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
