"""Files of answers for the tests of `score`, and what they are answers to."""

import json
from pathlib import Path

from datamodules.commands import score as command
from datamodules.commands.options import parse_options
from datamodules.commands.score import read_scored

ROOT = Path(__file__).parents[2]
FORMATS = ROOT / "tests" / "formats"
REC = {"task": "rec", "dataset": "refcoco", "test": {"rec_val": "val", "rec_testA": "testA"}}
VQA = {"task": "vqav2", "dataset": "vqav2", "test": {"vqav2_val": "val"}}
CAPTION = {"task": "caption", "dataset": "coco", "test": {"caption_coco": "val2017"}}


def main(words):
    command.main(parse_options("score", words))


def write(path, content):
    lines = (
        content if isinstance(content, str) else "\n".join(json.dumps(record) for record in content)
    )
    path.write_text(lines)
    return path


def rec_answers(setup, split="val"):
    scored = read_scored(setup, f"rec_{split}")
    return [
        {"id": a.id, "prompt": "", "text": scored.task.target(a), "malformed": False}
        for a in scored.annotations
    ]


def scores_of(path):
    return json.loads(path.read_text())["all"]
