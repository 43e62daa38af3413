"""Every evaluator with a few samples: an odd number, some malformed, for tests that hold for all of them."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torchmetrics import Metric

from vista.answers import says_yes
from vista.data import Prediction
from vista.metrics.attcoseg import AttCoSegMetric
from vista.metrics.bqa import BQAMetric
from vista.metrics.caption import CaptionMetric
from vista.metrics.coseg import CoSegMetric
from vista.metrics.counting import PointingQAMetric
from vista.metrics.evaluator import CorpusEvaluator
from vista.metrics.grec import GRECMetric
from vista.metrics.gres import GRESMetric
from vista.metrics.hateful_memes import HatefulMemesMetric
from vista.metrics.iconqa import IconQAMetric, choose_option
from vista.metrics.llava import LLaVAMetric
from vista.metrics.nlvr2 import NLVR2Metric
from vista.metrics.pope import POPEMetric
from vista.metrics.rec import RECMetric
from vista.metrics.res import RESMetric
from vista.metrics.spot_caption import SpotCaptionMetric
from vista.metrics.textvqa import TextVQAMetric
from vista.metrics.vcr import VCRMetric
from vista.metrics.visual7w import Visual7WMetric, chosen_candidate
from vista.metrics.vqa import VQAMetric

N = 13
Samples = list[tuple[Prediction, dict[str, Any]]]
WORDS = ("a red dog", "two cats on a mat", "the blue bus stops", "a man rides a horse", "one bird")


def box(rng: np.random.Generator, size: int = 12) -> tuple[float, float, float, float]:
    x0, y0 = rng.integers(0, size, 2)
    width, height = rng.integers(1, size, 2)
    return float(x0), float(y0), float(x0 + width), float(y0 + height)


def mask(rng: np.random.Generator, height: int = 6, width: int = 9) -> np.ndarray:
    return rng.random((height, width)) < 0.4


def _caption(rng: np.random.Generator, k: int) -> tuple[Prediction, dict[str, Any]]:
    return Prediction(answer=WORDS[rng.integers(5)]), {
        "id": str(k),
        "captions": list(rng.choice(WORDS, 3)),
    }


def _vqa(rng: np.random.Generator, k: int) -> tuple[Prediction, dict[str, Any]]:
    answers = [str(a) for a in rng.choice(["two", "2", "dog", "a dog", "3"], 10)]
    return Prediction(answer=answers[0]), {
        "answers": answers,
        "answer_type": ("yes/no", "number", "other")[k % 3],
    }


def _rec(rng: np.random.Generator, k: int) -> tuple[Prediction, dict[str, Any]]:
    return Prediction(boxes=[box(rng) for _ in range(1 + (k == 3))]), {"boxes": [box(rng)]}


def _grec(rng: np.random.Generator, k: int) -> tuple[Prediction, dict[str, Any]]:
    truth = [box(rng) for _ in range(k % 3)]
    return Prediction(boxes=truth if rng.random() < 0.6 else [box(rng)]), {"boxes": truth}


def _res(rng: np.random.Generator, k: int) -> tuple[Prediction, dict[str, Any]]:
    true = mask(rng)
    return Prediction(masks=[true & mask(rng)] * (k % 3)), {
        "mask": true,
        "target_mask": mask(rng) | true,
    }


def _gres(rng: np.random.Generator, k: int) -> tuple[Prediction, dict[str, Any]]:
    masks = [mask(rng) for _ in range(k % 3)]
    drawn = [m & mask(rng) for m in masks] if rng.random() < 0.6 else [mask(rng)]
    return Prediction(masks=drawn), {"masks": masks, "target_masks": masks[:1]}


def _vcr(rng: np.random.Generator, k: int) -> tuple[Prediction, dict[str, Any]]:
    label = int(rng.integers(4))
    pred = Prediction(choice=label if rng.random() < 0.7 else None)
    return pred, {"annot_id": str(k // 2), "mode": ("q_a", "qa_r")[k % 2], "label": label}


def _counting(rng: np.random.Generator, k: int) -> tuple[Prediction, dict[str, Any]]:
    granularity = ("any", "superclass", "object")[k % 3]
    return Prediction(answer=str(rng.integers(3))), {
        "answer": str(rng.integers(3)),
        "granularity": granularity,
    }


def _visual7w(rng: np.random.Generator, k: int) -> tuple[Prediction, dict[str, Any]]:
    boxes = [box(rng) for _ in range(4)]
    pred = Prediction(boxes=[boxes[rng.integers(4)]])
    pred.choice = chosen_candidate(pred, boxes)
    return pred, {"boxes": boxes, "label": k % 4}


def _bqa(rng: np.random.Generator, k: int) -> tuple[Prediction, dict[str, Any]]:
    return _counting(rng, k) if k % 2 else _visual7w(rng, k)


def _textvqa(rng: np.random.Generator, k: int) -> tuple[Prediction, dict[str, Any]]:
    answers = [str(a) for a in rng.choice(["Nokia's", "nokia", "7,000", "stop?"], 10)]
    return Prediction(answer=answers[0].upper()), {"answers": answers}


def _iconqa(rng: np.random.Generator, k: int) -> tuple[Prediction, dict[str, Any]]:
    label = int(rng.integers(3))
    ref = {
        "label": label,
        "skills": ["counting", "time"][: k % 3],
    }
    text = ("(A)", "The answer is dog.", "cow", "nothing")[rng.integers(4)]
    return Prediction(choice=choose_option(text, ["cat", "dog", "cow"])), ref


def _hateful(rng: np.random.Generator, k: int) -> tuple[Prediction, dict[str, Any]]:
    scores = {"yes": float(rng.random()), "no": float(rng.random())}
    return Prediction(decision=(True, False, None)[k % 3], scores=scores), {
        "label": int(rng.integers(2))
    }


def _pope(rng: np.random.Generator, k: int) -> tuple[Prediction, dict[str, Any]]:
    text = ("Yes, there is.", "No, there is not.", "NO", "")[rng.integers(4)]
    return Prediction(decision=says_yes(text)), {"label": ("yes", "no")[k % 2]}


def _nlvr2(rng: np.random.Generator, k: int) -> tuple[Prediction, dict[str, Any]]:
    answer, label = (("True", "False")[i] for i in rng.integers(0, 2, 2))
    return Prediction(decision=answer == "True"), {
        "label": label,
        "identifier": f"dev-{k // 4}-{k % 2}-{k % 4 // 2}",
    }


def _coseg(rng: np.random.Generator, k: int) -> tuple[Prediction, dict[str, Any]]:
    masks = [mask(rng, 5 + i, 8) for i in range(3)]
    pred = Prediction(masks=[m & mask(rng, *m.shape) for m in masks[: 1 + k % 3]])
    return pred, {
        "masks": masks,
        "class": ("cow", "009 big bird")[k % 2],
        "count": [True, True, k % 4 != 0],
    }


def _attcoseg(rng: np.random.Generator, k: int) -> tuple[Prediction, dict[str, Any]]:
    i, j = (int(x) for x in rng.choice(4, 2, replace=False) + 1)
    masks = [mask(rng) if n in (i, j) else np.zeros((6, 9), bool) for n in range(1, 5)]
    return Prediction(numbers=[j, 1 + k % 5], masks=[masks[j - 1], mask(rng)]), {
        "pair": [i, j],
        "masks": masks,
    }


def _spot(rng: np.random.Generator, k: int) -> tuple[Prediction, dict[str, Any]]:
    boxes = [box(rng), box(rng)]
    phrases = [
        {"phrase": "A man", "boxes": [boxes[0]], "types": ["people"]},
        {"phrase": "the dog", "boxes": [box(rng), box(rng)][: k % 3], "types": ["animals"]},
    ]
    ref = {"captions": ["A man holds the dog ."], "phrases": phrases}
    return Prediction(
        answer="a man holds a dog", boxes=boxes, phrases=["a man", "holds a dog"]
    ), ref


def _llava(rng: np.random.Generator, k: int) -> tuple[Prediction, dict[str, Any]]:
    return Prediction(answer=WORDS[rng.integers(5)]), {"answer": WORDS[k % 5]}


FAST = {"tokenizer": "python"}
CASES: dict[str, tuple[Callable[[], Metric], Callable[..., tuple[Prediction, dict[str, Any]]]]] = {
    "caption": (lambda: CaptionMetric(metrics=("CIDEr", "ROUGE_L", "BLEU"), **FAST), _caption),
    "vqa": (VQAMetric, _vqa),
    "rec": (RECMetric, _rec),
    "res": (RESMetric, _res),
    "grec": (GRECMetric, _grec),
    "gres": (GRESMetric, _gres),
    "vcr": (VCRMetric, _vcr),
    "counting": (PointingQAMetric, _counting),
    "visual7w": (Visual7WMetric, _visual7w),
    "bqa": (BQAMetric, _bqa),
    "textvqa": (TextVQAMetric, _textvqa),
    "iconqa": (IconQAMetric, _iconqa),
    "hateful_memes": (HatefulMemesMetric, _hateful),
    "pope": (POPEMetric, _pope),
    "nlvr2": (NLVR2Metric, _nlvr2),
    "coseg": (CoSegMetric, _coseg),
    "attcoseg": (AttCoSegMetric, _attcoseg),
    "spot_caption": (lambda: SpotCaptionMetric(metrics=("CIDEr",), **FAST), _spot),
    "llava": (lambda: LLaVAMetric(**FAST), _llava),
}


def samples(name: str) -> Samples:
    """N samples of one evaluator, the same on every call; two of them are malformed."""
    rng = np.random.default_rng(7)
    made = [CASES[name][1](rng, k) for k in range(N)]
    for pred, _ in made[4:6]:
        pred.malformed = True
    return made


def score(metric: Metric, made: Samples, batch: int = N) -> dict[str, float]:
    """What an evaluator says of samples that come in batches."""
    for start in range(0, len(made), batch):
        part = made[start : start + batch]
        metric.update([pred for pred, _ in part], [ref for _, ref in part])
    return {key: float(value) for key, value in metric.compute().items()}


def in_calls(metric: Metric, made: Samples, batch: int) -> list[dict[str, float]]:
    """What an evaluator says when it is called on one batch after the other."""
    values = []
    for start in range(0, len(made), batch):
        part = made[start : start + batch]
        scores = metric([pred for pred, _ in part], [ref for _, ref in part])
        values.append({key: float(value) for key, value in scores.items()})
    return values


def _fail() -> float:
    raise ValueError("the first process failed" if dist.get_rank() == 0 else "the second was asked")


def _fail_together(metric: CorpusEvaluator) -> None:
    with metric.sync_context():
        metric.on_first(_fail)


def score_in_process(rank: int, world: int, folder: str) -> None:
    """The body of one gloo process: it sees every `world`-th sample of each evaluator and saves what it computes."""
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=world
    )
    results = {}
    for name, (make, _) in CASES.items():
        own = samples(name)[rank::world]
        results[name] = score(make(), own, batch=2)
        # Seven samples in seven calls and six in six: whoever waited for the other would wait for ever.
        metric = make()
        results[f"{name} in calls"] = in_calls(metric, own, batch=1)
        results[f"{name} after calls"] = {k: float(v) for k, v in metric.compute().items()}
        results[f"{name} of one"] = score(make(), samples(name) if rank == 0 else [])
    metric = CaptionMetric(metrics=("CIDEr",), tokenizer="python")
    metric.update([Prediction(answer="a dog")], [{"id": "the same on both", "captions": ["a dog"]}])
    for key, function in (
        ("duplicate", metric.compute),
        ("failure", lambda: _fail_together(NLVR2Metric())),
    ):
        try:
            function()
        except ValueError as error:
            results[key] = {"raised": str(error)}
    torch.save(results, f"{folder}/rank{rank}.pt")
    dist.destroy_process_group()
