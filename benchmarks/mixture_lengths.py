"""How long the samples of the paper's mixture are, and how many share an image.

Writes datamodules/commands/mixture_lengths.json, which `python main.py plan` takes where files are not there.

    python -m benchmarks.mixture_lengths --root DATA --config coinit

For every training source that is below the data root: its images, nine deciles of the pieces in a prompt, of the pieces
of words in an answer and of its regions. A word counts as 1.3 pieces, as English does for LLaMA's tokenizer. Numbers of
samples and of samples an image are those of Table 1 and of the data sets' own pages (docs/sources.md); they are written
here, since slices of the files do not show them. The committed file was made from small slices: Flickr30k Entities,
LookTwice-QA and Visual7W are left out; expressions of gRefCOCO have the lengths of RefCOCO's and as many regions as its
release counts; LLaVA-Instruct is one conversation of its own, and the detailed and complex answers that LLaVA-Bench
(COCO) got from GPT-4 in the same way (coco2014_val_gpt4_qa_30x3.jsonl in the folder of LLaVA-Instruct), in its shares.
"""

import argparse
import json
import re
import warnings
from collections.abc import Sequence
from contextlib import suppress
from itertools import cycle, islice
from pathlib import Path

import numpy as np

from datamodules.commands import stated
from datamodules.commands.configured import Setup, read_setup
from datamodules.readers import READERS
from tasks import Task
from vista.data import Annotation

PIECES_PER_WORD = 1.3
Turns = Sequence[tuple[str, str]]  # prompt and answer of each
# Samples of the training split, and samples of one image.
STATED = {
    "caption_coco": (113_287, 1), "vqav2": (443_757, 5.4), "llava_instruct": (157_712, 1.9),
    "rec_refcoco": (120_624, 7.1), "rec_refcocop": (120_191, 7.1), "rec_refcocog": (80_512, 3.7),
    "res_refcoco": (120_624, 7.1), "res_refcocop": (120_191, 7.1), "res_refcocog": (80_512, 3.7),
    "grec_grefcoco": (209_344, 12.3), "gres_grefcoco": (209_344, 12.3), "reg_refcoco": (42_404, 2.5),
    "reg_visual_genome": (180_138, 2.3), "spot_caption_flickr30k": (148_915, 5.0), "vcr": (425_846, 5.3),
    "pqa_looktwice": (83_226, 3.0), "bqa_visual7w": (93_813, 7.3), "nlvr2": (86_373, 1), "attcoseg": (685_000, 1),
}  # fmt: skip
# Regions of gRefCOCO's training expressions: none, one and several as in the release; of several, two, three and more
# in the shares of the 907 such expressions of its val, testA and testB that were at hand.
TARGETS = [0] * 19_140 + [1] * 120_624 + [2] * 48_944 + [3] * 13_042 + [4] * 3_452 + [5] * 4_142
LIKE = {"grec_grefcoco": "rec_refcoco", "gres_grefcoco": "res_refcoco"}
# Thousands of samples, README of LLaVA-Instruct-150K.
LLAVA_KINDS = {"conv": 58, "detail": 23, "complex": 77}
BENCH = "coco2014_val_gpt4_qa_30x3.jsonl"
REGION = re.compile(r"\[[\d\s,<>a-z]*\]")


def pieces(text: str) -> int:
    """About how many pieces a text of words has."""
    words = re.findall(r"\w+", text)
    marks = re.findall(r"[^\w\s]", text)
    return round(PIECES_PER_WORD * len(words)) + len(marks)


def deciles(values: list[int]) -> list[int]:
    """Nine numbers between which a tenth of the values lies each."""
    return [int(v) for v in np.quantile(values, np.linspace(0.05, 0.95, 9))]


def with_bench(conversations: Sequence[Turns], path: Path) -> list[Turns]:
    """Conversations, and the bench's detailed and complex answers, repeated until the three kinds have their shares."""
    by_kind: dict[str, list[Turns]] = {"conv": list(conversations[:1]), "detail": [], "complex": []}
    for line in path.read_text().splitlines():
        record = json.loads(line)
        if record["type"] in ("detail", "complex"):
            by_kind[record["type"]].append([(record["instruction"], record["output"])])
    repeated: list[Turns] = []
    for kind, share in LLAVA_KINDS.items():
        repeated += islice(cycle(by_kind[kind]), share)
    return repeated


def annotations_of(setup: Setup, name: str) -> list[Annotation]:
    """Those of the first split of a source that has any, the one for training first."""
    source = setup.sources[name]
    task = Task.known[source.task](setup.codec)
    own_splits = [source.train, source.val, *source.test.values()]
    for split in dict.fromkeys([*own_splits, *READERS[source.dataset].splits]):
        if not split:
            continue
        with suppress(FileNotFoundError, ValueError):
            annotations = task.regroup(setup.splits.read(name, source, split))
            if annotations:
                return annotations
    return []


def lengths_of(turns: Sequence[Turns], task: str) -> dict[str, object]:
    """Deciles of the pieces of words in prompt and answer, and of the regions."""
    prompts, answers, regions = [], [], []
    for own in turns:
        prompt = "".join(prompt for prompt, _ in own)
        answer = "".join(answer for _, answer in own)
        prompts.append(pieces(REGION.sub("", prompt)))
        answers.append(pieces(REGION.sub("", answer)))
        regions.append(sum(len(REGION.findall(answer)) for _, answer in own))
    return {
        "prompt": deciles(prompts),
        "answer": deciles(answers),
        "regions": deciles(regions),
        "region": "mask" if task in ("res", "gres", "attcoseg") else "box",
    }


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, required=True, help="data root with official files")
    parser.add_argument("--config", action="append", default=[], help="config with the sources")
    parser.add_argument("--out", type=Path, default=stated.FILE)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    setup = read_setup(given.config, given.root, [])
    found = {}
    for name, (samples, per_image) in STATED.items():
        source_name = LIKE.get(name, name)
        source = setup.sources[source_name]
        annotations = annotations_of(setup, source_name)
        if not annotations:
            print(f"{name}: no files, left out")
            continue
        task, rng = Task.known[source.task](setup.codec), np.random.default_rng(0)
        turns: list[Turns] = [task.turns(annotation, rng) for annotation in annotations[:400]]
        if source.dataset == "llava_instruct":
            turns = with_bench(turns, setup.root / source.dataset / BENCH)
        lengths = lengths_of(turns, source.task)
        if name in LIKE:
            lengths["regions"] = deciles(TARGETS)
        images = round(np.mean([len(annotation.images) for annotation in annotations[:400]]))
        found[name] = {
            "samples": samples, "samples_of_an_image": per_image, "images": images, **lengths,
        }  # fmt: skip
        print(name, len(annotations), found[name])
    given.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
