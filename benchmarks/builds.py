"""This build against another one: parts of a start, of the codec and of the loader, in turns in both, in CPU-seconds.

    OMP_NUM_THREADS=1 python -m benchmarks.builds --other ../main
    OMP_NUM_THREADS=1 python -m benchmarks.builds --other ../main --only wrong_config help codec

`--other` is a checkout of the other build. A probe is a process of its own, of which the best round counts. The last
line printed is one JSON object: for each figure [other, this, ratio]; times are divided as other / this, speeds as this
/ other, so that more is better.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from operator import itemgetter
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[1]
# Microseconds of one mask, median of the best of some rounds; the masks are drawn alike in both builds.
CODEC = """
import json, time
import cv2, numpy as np
from vista.codec.contour import encode
from vista.codec.polygon_fill import decode
cv2.setNumThreads(0)
masks = []
for seed in range(40):
    noise = np.random.default_rng(seed).normal(size=(480, 640))
    smooth = cv2.GaussianBlur(noise, (0, 0), 40)
    masks.append(smooth > np.quantile(smooth, 0.75))
points = [encode(mask, 32) for mask in masks]
def median(call):
    best = np.full((7, len(masks)), np.inf)
    for row in best:
        for k in range(len(masks)):
            began = time.process_time_ns()
            call(k)
            row[k] = time.process_time_ns() - began
    return float(np.median(best.min(axis=0))) / 1000
print(json.dumps({
    "encode_us": median(lambda k: encode(masks[k], 32)),
    "decode_us": median(lambda k: decode(points[k], masks[k].shape)),
}))
"""
# Samples for each CPU-second of one worker process, an image a sample.
LOADER = """
import json, tempfile
from pathlib import Path
import cv2
from benchmarks import loader
from datamodules.settings import SampleOrder
cv2.setNumThreads(0)
with tempfile.TemporaryDirectory() as folder:
    root = Path(folder)
    loader.write_data(root, 20000, 2000)
    order = SampleOrder(questions_per_image=1)
    found = {}
    for task in ("caption", "res"):
        data = loader.mixture(root, order=order, tasks=[task])
        found[f"{task}_samples_per_cpu_s"] = loader.speed(data, batches=10)["per_cpu_second"]
print(json.dumps(found))
"""


def run(folder: Path, *words: str) -> tuple[float, str]:
    """CPU-seconds of a process in a checkout, and what it printed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, done.stdout


def command(*words: str) -> Callable[[Path], dict[str, float]]:
    """A probe of the command line."""
    return lambda folder: {"cpu_s": run(folder, "main.py", *words)[0]}


def script(text: str) -> Callable[[Path], dict[str, float]]:
    """A probe that prints its figures."""
    return lambda folder: json.loads(run(folder, "-c", text)[1].splitlines()[-1])


def start_of_fit(folder: Path) -> dict[str, float]:
    """From the command to the first step of the tiny model, with the world written and annotations compiled."""
    with TemporaryDirectory() as place:
        words = [
            str(folder / "main.py"), "fit", "--config", "stage1", "--trainer.max_steps", "1",
            "--trainer.limit_val_batches", "0", "--data.world.scenes", "60",
            "--data.root", f"{place}/world", "--data.cache", f"{place}/compiled",
            "--trainer.fast_dev_run", "1",
        ]  # fmt: skip
        run(folder, *words)
        return {"cpu_s": run(folder, *words)[0]}


PROBES = {
    "wrong_config": command("fit", "--config", "nope.yaml"),
    "help": command("score", "--help"),
    "codec": script(CODEC),
    "loader": script(LOADER),
    "start_of_fit": start_of_fit,
}


def best(name: str, rows: list[dict[str, float]]) -> dict[str, float]:
    """The best round of each figure."""
    pick = max if name == "loader" else min
    return {key: pick(map(itemgetter(key), rows)) for key in rows[0]}


def main() -> None:
    """Probe both in turns and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--other", type=Path, required=True)
    parser.add_argument("--only", nargs="+", choices=PROBES, default=list(PROBES))
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    found: dict[str, list[float]] = {}
    for name in given.only:
        rows: dict[Path, list[dict[str, float]]] = {given.other.absolute(): [], ROOT: []}
        for _ in range(given.rounds):
            for folder, of_folder in rows.items():
                of_folder.append(PROBES[name](folder))
        other, this = (best(name, of_folder) for of_folder in rows.values())
        for key, value in this.items():
            ratio = value / other[key] if name == "loader" else other[key] / value
            found[f"{name}_{key}"] = [round(other[key], 2), round(value, 2), round(ratio, 2)]
            print(f"{name}_{key}", *found[f"{name}_{key}"], flush=True)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
