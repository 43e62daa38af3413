"""`benchmarks/ablations.py`: its arithmetic, its page, and that every arm's configs are understood."""

from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from benchmarks.ablations import (
    ARMS,
    CROSS,
    FINDINGS,
    PARTS,
    configs,
    epoch_steps,
    report,
    step_cost,
)
from tasks import Task
from tests.tiny import FLAGS, ROOT, run
from vista.app.runs import find_config
from vista.data import InputError
from vista.models.parts import QFormer
from vista.training.checkpoints import read_checkpoint

LARGE = [("no_tokenizer_7b",), ("no_pretraining_7b",)]
LARGE += [("no_pretraining_7b", encoder) for encoder in ("clip_l14", "clip_l14_336", "clip_b16")]
ROW = {
    "arm": "fast+points16", "tokens": 34.0, "step_cpu_s": 0.5, "steps": 480, "cpu_s": 238.0, "rec_pr50": 60.0,
    "res_miou": 30.0, "n": [256, 260], "bound": 97.5,
}  # fmt: skip


def test_the_cost_of_a_step():
    """5 and 35 steps in 20 and 50 CPU-seconds: one second each, after 15 of starting up."""
    assert step_cost(20, 50) == (1, 15)
    with pytest.raises(ValueError, match="nothing to go by"):
        step_cost(20, 20)


def test_two_epochs_cost_the_budget():
    assert epoch_steps(240, step=0.5) == 240
    assert epoch_steps(240, step=0.7) == 171
    assert epoch_steps(1, step=9) == 1


def test_the_page_keeps_what_was_written_by_hand():
    page = report([ROW], 240, 0)
    assert "| fast+points16 | 34 | 500 | 480 | 238 | 60.0 | 30.0 | 256, 260 | 97.50 |" in page
    assert page.endswith(FINDINGS + "\n")
    told = page + "\nFewer points learn faster.\n"
    assert report([ROW | {"steps": 1}], 240, 0, told) == told.replace("| 480 |", "| 1 |")


@pytest.mark.parametrize(
    "arm", [*ARMS, *PARTS, *(f"fast+points16{more}" for more in CROSS if more)]
)
def test_every_arm_fits_the_signatures(arm):
    outcome = run("fit", *(f"--config={name}" for name in configs(arm)), "--print_config")
    assert outcome.code == 0, outcome.err
    parsed = yaml.safe_load(outcome.out)
    expected = {}
    for name in configs(arm):  # the later decides
        for group, settings in yaml.safe_load(find_config(name).read_text()).items():
            if group != "data" or "tasks" not in settings:
                expected |= {(group, key): value for key, value in settings.items()}
    for (group, key), value in expected.items():
        assert parsed[group][key] == value, f"{group}.{key}"
    assert parsed["data"]["tasks"] == ["rec", "res"]


def test_every_file_is_used():
    used = {
        name
        for arm in [*ARMS, *PARTS, *(f"{arm}{more}" for arm in ARMS for more in CROSS)]
        for name in configs(arm)
    }
    files = {f"ablations/{path.name}" for path in (ROOT / "configs/ablations").glob("*.yaml")}
    large = {f"ablations/{name}.yaml" for stack in LARGE for name in stack}
    growing = {f"ablations/growth{step}.yaml" for step in range(1, 5)}
    assert files == used - {"stage1.yaml"} | large | growing


@pytest.mark.parametrize("names", LARGE, ids="+".join)
def test_arms_at_the_size_of_the_paper_fit_the_signatures(names):
    stack = ["stage1", "vicuna_7b", "coinit", "fsdp", *(f"ablations/{name}" for name in names)]
    outcome = run("fit", *(f"--config={name}" for name in stack), "--print_config")
    assert outcome.code == 0, outcome.err
    parsed = yaml.safe_load(outcome.out)
    assert parsed["qformer"]["weights"] is None and parsed["model"]["weights"] is None
    assert parsed["llm"]["weights"] == "checkpoints/instructblip-vicuna-7b"


def test_each_step_of_growing_data_has_the_tasks_before_it():
    steps = []
    for step in range(1, 4):
        steps.append(
            yaml.safe_load(find_config(f"ablations/growth{step}").read_text())["data"]["tasks"]
        )
    for fewer, more in pairwise(steps):
        assert more[: len(fewer)] == fewer and len(more) > len(fewer)
    assert not [task for task in steps[-1] if Task.known[task].multi_image]


def test_a_projector_takes_no_weights():
    with pytest.raises(
        InputError, match=r"--qformer\.projector takes no weights, and weights is named"
    ):
        QFormer(projector=True, weights=Path("weights"))


def test_without_tokenizer_a_model_trains(tiny_world, tmp_path, monkeypatch):
    """A step of the smallest model: 16 patches and the class token of a 32-pixel image."""
    monkeypatch.chdir(tmp_path)
    arm = ["--config=stage1", "--config=ablations/no_tokenizer", "--data.tasks=[rec]"]
    few = ["--data.order.epoch_samples=16", "--data.batch_size=8", "--trainer.limit_val_batches=1"]
    words = [*arm, *FLAGS, *few, f"--data.root={tiny_world}"]
    wrong = run("fit", *words)
    assert wrong.code == 2 and "set --qformer.num_queries 17" in wrong.err
    outcome = run("fit", *words, "--qformer.num_queries=17", "--name=arm")
    assert outcome.code == 0, outcome.err
    (run_folder,) = tmp_path.glob("runs/arm*")
    names = read_checkpoint(run_folder / "checkpoints/last.ckpt")["state_dict"]
    of_tokenizer = {name for name in names if ".qformer." in name}
    assert of_tokenizer == {"model.qformer.projector.weight", "model.qformer.projector.bias"}
