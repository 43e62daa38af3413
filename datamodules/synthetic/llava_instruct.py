r"""LLaVA-Instruct of the generated world: conversations (https://huggingface.co/datasets/liuhaotian/LLaVA-Instruct-150K).

    llava_instruct/llava_instruct_150k.json         all of the next three
    llava_instruct/conversation_58k.json, detail_23k.json, complex_reasoning_77k.json
    llava_instruct/coco2014_val_gpt4_qa_30x3.jsonl  LLaVA-Bench: three kinds about each image, none of them trained on

    {"id": "000001000000", "image": "000001000000.jpg", "conversations": [
        {"from": "human", "value": "<image>\nwhat color is the large circle?"},
        {"from": "gpt", "value": "the large circle is red."}, ...]}

The images are COCO's: the first of train2017, three of five for short questions, and of val2017.
"""

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain, product
from pathlib import Path

from datamodules.synthetic.chunks import Chunk, Pieces, column, of_stream, record_lines
from datamodules.synthetic.coco import image_id
from datamodules.synthetic.conversations import KINDS, Turns, conversation
from datamodules.synthetic.files import Record, write_lines, write_list
from datamodules.synthetic.format import Format
from datamodules.synthetic.phrases import wording
from datamodules.synthetic.quota import Quota
from datamodules.synthetic.scene import Scene

FILES = {
    "conv": "conversation_58k",
    "detail": "detail_23k",
    "complex": "complex_reasoning_77k",
}
NUM_BENCH = 30  # images of LLaVA-Bench
SHARES = ("conv", "conv", "conv", "detail", "complex")  # of one scene after the other


def _draw(root: Path, chunk: Chunk) -> Pieces:
    """The images are those of COCO, which are there."""
    records: dict[str, list[Record]] = defaultdict(list)
    quota = Quota()
    for index, scene in chunk.scenes():
        name = f"{image_id(chunk.stream, index):012d}"
        rng = wording(chunk.seed, f"llava_instruct {chunk.stream}", index)
        if chunk.stream == "train":
            kind = SHARES[index % len(SHARES)]
            turns = conversation(kind, scene, rng, quota)
            if turns:
                records[kind].append(_record(name, turns, rng))
        else:
            by_kind = {kind: conversation(kind, scene, rng, quota) for kind in KINDS}
            # LLaVA-Bench has all three kinds about each of its images.
            if all(by_kind.values()):
                records["bench"] += [_bench(name, kind, turns) for kind, turns in by_kind.items()]
    records["all"] = list(chain.from_iterable(records.get(kind, ()) for kind in KINDS))
    return Pieces.of(chunk, records)


def _record(name: str, turns: Turns, rng: random.Random) -> Record:
    first = rng.choice(("<image>\n{}", "{}\n<image>"))
    conversations = []
    for position, (question, answer) in enumerate(turns):
        value = first.format(question) if position == 0 else question
        conversations.append({"from": "human", "value": value})
        conversations.append({"from": "gpt", "value": answer})
    return {
        "id": name,
        "image": f"{name}.jpg",
        "conversations": conversations,
    }


def _bench(name: str, kind: str, turns: Turns) -> Record:
    question, answer = turns[0]
    return {
        "id": name,
        "image": f"COCO_val2014_{name}.jpg",
        "instruction": question,
        "output": answer,
        "type": kind,
    }


def _write(root: Path, pieces: Sequence[Pieces]) -> None:
    train = of_stream(pieces, "train")
    bench = of_stream(pieces, "test")
    for kind, name in {**FILES, "all": "llava_instruct_150k"}.items():
        write_list(root / f"{name}.json", column(train, kind))
    lines = record_lines(bench, "bench")[: NUM_BENCH * len(KINDS)]
    write_lines(root / "coco2014_val_gpt4_qa_30x3.jsonl", lines)


def _texts(scene: Scene, rng: random.Random) -> list[str]:
    texts: list[str] = []
    of_two = replace(scene, objects=scene.objects[:2])  # two may have nothing in common
    for some, kind in product((scene, of_two), KINDS):
        for turn in conversation(kind, some, rng, Quota()):
            texts += turn
    return texts


FORMAT = Format(
    streams={"train": ("num_train", 0.25), "test": ("num_test", 0.05)},
    draw=_draw,
    write=_write,
    texts=_texts,
)
