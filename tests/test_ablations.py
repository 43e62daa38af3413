"""`benchmarks/ablations.py`: its arithmetic, its page, and that every arm's configs are understood."""

import pytest
import yaml

from benchmarks.ablations import ARMS, CROSS, FINDINGS, configs, epoch_steps, report, step_cost
from tests.tiny import ROOT, run
from vista.app.runs import find_config

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


@pytest.mark.parametrize("arm", [*ARMS, *(f"fast+points16{more}" for more in CROSS if more)])
def test_every_arm_fits_the_signatures(arm):
    outcome = run("fit", *(f"--config={name}" for name in configs(arm)), "--print_config")
    assert outcome.code == 0, outcome.err
    parsed = yaml.safe_load(outcome.out)
    for name in configs(arm):
        for group, settings in yaml.safe_load(find_config(name).read_text()).items():
            for key, value in (
                settings.items() if group != "data" or "tasks" not in settings else ()
            ):
                assert parsed[group][key] == value, f"{group}.{key}"
    assert parsed["data"]["tasks"] == ["rec", "res"]


def test_every_file_is_used():
    used = {
        name
        for arm in [*ARMS, *(f"{arm}{more}" for arm in ARMS for more in CROSS)]
        for name in configs(arm)
    }
    files = {f"ablations/{path.name}" for path in (ROOT / "configs/ablations").glob("*.yaml")}
    assert files == used - {"stage1.yaml"}
