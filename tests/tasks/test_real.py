"""The law of `vista/task.py` on slices of the official files (`VISTA_REALDATA`)."""

import os
from pathlib import Path

import numpy as np
import pytest

from datamodules.readers import READERS
from tasks import Task
from vista.codec.codec import Codec
from vista.decoding.grammar import compile_grammar
from vista.tokens.tokenizer import Tokenizer

REALDATA = Path(os.environ.get("VISTA_REALDATA", "unset"))
pytestmark = pytest.mark.skipif(
    not REALDATA.is_dir(), reason="VISTA_REALDATA names no folder of official slices"
)
TOKENIZER = Tokenizer(Path(__file__).parents[2] / "configs/tiny/tokenizer")
SOURCES = [
    ("caption", "coco", "val2017", 0), ("vqav2", "vqav2", "train", 25), ("rec", "refcoco", "val", 100),
    ("res", "refcocog", "val", 85), ("reg", "visual_genome", "all", 0),
    ("vcr", "vcr", "val", 100), ("textvqa", "textvqa", "val", 100), ("iconqa", "iconqa", "test", 100),
    ("iconqa", "iconqa", "choose_img_test", 100), ("pope", "pope", "adversarial", 100), ("nlvr2", "nlvr2", "dev", 100),
    ("llava", "llava_instruct", "train", 100), ("llava", "llava_instruct", "bench", 100),
    ("coseg", "coseg", "pascal", 80), ("coseg", "coseg", "msrc", 80), ("coseg", "coseg_groups", "train2017", 75),
]  # fmt: skip


@pytest.mark.parametrize(("name", "dataset", "split", "ceiling"), SOURCES)
def test_law_on_official_files(name, dataset, split, ceiling):
    task = Task.known[name](Codec(num_points=32))
    reader = iter(READERS[dataset](REALDATA, split))
    sample = task.regroup([annotation for _, annotation in zip(range(60), reader, strict=False)])
    assert sample
    evaluator = task.evaluator()
    evaluator.tokenizer, evaluator.metrics = "python", ("CIDEr",)
    for annotation in sample:
        for rng in (None, np.random.default_rng(0)):
            assert task.prompt(annotation, rng).count("<image>") == len(annotation.images)
        target = task.target(annotation)
        assert compile_grammar(task.grammar(annotation), TOKENIZER).accepts(
            TOKENIZER.encode(target, eos=True)
        )
        prediction = task.parse(target, annotation)
        assert not prediction.malformed
        evaluator.update([prediction], [task.reference(annotation)])
    if ceiling:
        assert evaluator.compute()[task.headline] >= ceiling
