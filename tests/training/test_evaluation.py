"""The mean of the headline scores, which chooses the best checkpoint: no unit rules in it."""

import pytest
import torch

from tasks import Task
from vista.codec.codec import Codec
from vista.training.evaluation import EvaluationModule


class Scored:
    """An evaluator that is done."""

    def __init__(self, task, score):
        self.scores = {task.headline: torch.tensor(score, dtype=torch.float64)}

    def compute(self):
        return self.scores


def mean(**scores):
    """What is logged as `val/mean` where these are the headline scores of some tasks."""
    module, logged = EvaluationModule(None, None), {}
    module.log = lambda name, value, **_: logged.update({name: value})
    module.log_dict = lambda values, **_: logged.update(values)
    for name, score in scores.items():
        module.tasks[name] = Task.known[name](Codec())
        module.evaluators[name] = Scored(module.tasks[name], score)
    module.on_validation_epoch_end()
    for name, score in scores.items():
        assert logged[f"val/{name}/{module.tasks[name].headline}"] == pytest.approx(score)
    return float(logged["val/mean"])


@pytest.mark.parametrize("name", ["caption", "reg"])
@pytest.mark.parametrize("cider", [0.0, 20.0, 89.0, 131.2, 354.2, 900.0])
def test_a_gain_in_cider_does_not_outweigh_three_losses(name, cider):
    before = mean(**{name: cider}, vqav2=62.0, rec=81.0, res=70.0)
    after = mean(**{name: cider + 16}, vqav2=59.0, rec=78.0, res=67.0)
    assert after < before
    assert mean(**{name: cider + 16}, vqav2=62.0, rec=81.0, res=70.0) > before


def test_percentages_count_as_they_are():
    assert mean(vqav2=62.0, rec=81.0) == pytest.approx(71.5)
    assert mean(caption=200.0) == pytest.approx(50)
    assert mean(caption=0.0, rec=0.0) == 0


def test_a_headline_says_what_is_no_percentage():
    no_percentage = {name for name, task in Task.known.items() if task.headline == "CIDEr"}
    assert no_percentage == {name for name, task in Task.known.items() if task.halfway}
