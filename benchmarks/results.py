"""The demo on several seeds: scores, baselines, CPU-seconds and memory, written to docs/results.md.

    python -m benchmarks.results --seeds 0 1 2
    python -m benchmarks.results --seeds 0 --all        all tasks, as `make demo-all`, written to docs/results_all.md

Every seed trains all stages and is tested once, in processes of their own, as `make demo` does, two processes
to a training; `--jobs 2` lets two seeds go on at a time instead, one process each. The last line printed is one JSON
object.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

ROOT = Path(__file__).parents[1]


def run(arguments: list[str], threads: int) -> dict[str, float]:
    """One command of the project, with its wall seconds, CPU-seconds and peak memory in GB (largest process)."""
    env = os.environ | {"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE"}
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, "main.py", *arguments], cwd=ROOT, env=env)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, arguments)
    cpu = used.ru_utime + used.ru_stime
    return {"wall_s": time.perf_counter() - began, "cpu_s": cpu, "peak_gb": used.ru_maxrss / 2**20}


PAIR = ["--trainer.devices=2", "--trainer.strategy=ddp"]  # as `make demo`
# By `--all`: the title, more configs, those of the later stages, and questions of each source, in the first prompt and
# in unseen ones.
DEMOS = {
    False: ("the demo", [], ("tiny_several", "tiny_refresh"), (256, 64)),
    True: ("all tasks", ["--config=tiny_all.yaml"], ("tiny_stage2",), (200, 50)),
}


def one_seed(seed: int, threads: int, pair: list[str], everything: bool) -> dict[str, object]:
    """Train and test under one seed."""
    _, config, stages, (num_questions, num_unseen) = DEMOS[everything]
    prefix = f"seed{seed}_all_" if everything else f"seed{seed}_"
    more = [f"--seed_everything={seed}", f"--data.order.seed={seed}", *pair]
    name = f"{prefix}stage1"
    costs = {
        "stage1": run(["fit", "--config=stage1.yaml", *config, f"--name={name}", *more], threads)
    }
    for stage in stages:
        later = ["fit", "--config=stage2.yaml", *config, f"--config={stage}.yaml"]
        later += [f"--model.init_from={name}", f"--name={prefix}{stage}"]
        costs[stage] = run([*later, *more], threads)
        name = f"{prefix}{stage}"
    test = ["test", f"--ckpt_path={name}"]
    test += [f"--data.scoring.max_test={num_questions}"]
    test += [f"--data.scoring.unseen_prompts={num_unseen}"]
    costs["test"] = run(test, threads)
    # A name that is taken gets a number, so the newest folder is this run's.
    folder = max(ROOT.glob(f"runs/{name}*"), key=lambda f: f.stat().st_mtime_ns)
    table = json.loads((folder / "scores_test.json").read_text())["table"]
    return {"seed": seed, "costs": costs, "table": table}


def report(results: list[dict], threads: int, title: str) -> str:
    """The page, in Markdown."""
    seeds = ", ".join(str(r["seed"]) for r in results)
    lines = [
        f"# Results of {title}",
        "",
        "Written by `benchmarks/results.py`; do not edit. The tiny model on the generated world, one row for each",
        f"score of `test` at the end. Seeds {seeds}; {threads} thread(s); mean and lowest .. highest over seeds.",
        "",
        "| score | metric | mean | lowest .. highest | baseline | baseline is | n |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    tables = [result["table"] for result in results]
    for rows in zip(*tables, strict=True):
        row = rows[0]
        scores = [each["score"] for each in rows]
        spread = f"{statistics.mean(scores):.1f} | {min(scores):.1f} .. {max(scores):.1f}"
        baseline = f"{row['baseline']:.1f} | {row['what']}"
        lines.append(f"| {row['name']} | {row['metric']} | {spread} | {baseline} | {row['n']} |")
    lines += [
        "",
        "| seed | step | CPU-seconds | wall seconds | peak GB |",
        "| --- | --- | --- | --- | --- |",
    ]
    for result in results:
        for step, cost in result["costs"].items():
            numbers = f"{cost['cpu_s']:.0f} | {cost['wall_s']:.0f} | {cost['peak_gb']:.2f}"
            lines.append(f"| {result['seed']} | {step} | {numbers} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run the seeds and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1, help="seeds at a time")
    parser.add_argument("--all", action="store_true", help="all tasks")
    parser.add_argument("--out", type=Path, help="docs/results.md, or docs/results_all.md")
    given = parser.parse_args()
    title = DEMOS[given.all][0]
    pair = PAIR if given.jobs == 1 else []
    out = given.out or ROOT / "docs" / ("results_all.md" if given.all else "results.md")
    out.parent.mkdir(exist_ok=True)
    with ThreadPoolExecutor(given.jobs) as pool:
        one = partial(one_seed, threads=given.threads, pair=pair, everything=given.all)
        results = []
        for result in pool.map(one, given.seeds):
            results.append(result)
            # What there is, should a later seed fail.
            out.write_text(report(results, given.threads, title))
    print(json.dumps({"benchmark": "results", "threads": given.threads, "results": results}))


if __name__ == "__main__":
    main()
