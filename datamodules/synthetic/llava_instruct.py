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
from pathlib import Path
from typing import Any

from datamodules.synthetic.chunks import Chunk, Pieces, column, each
from datamodules.synthetic.coco import image_id
from datamodules.synthetic.conversations import KINDS, Turns, conversation
from datamodules.synthetic.files import json_lines, write_lines, write_list
from datamodules.synthetic.format import Format, of_stream
from datamodules.synthetic.phrases import wording
from datamodules.synthetic.questions import Quota
from datamodules.synthetic.scene import Scene

FILES = {"conv": "conversation_58k", "detail": "detail_23k", "complex": "complex_reasoning_77k"}
NUM_BENCH = 30  # images of LLaVA-Bench
SHARES = ("conv", "conv", "conv", "detail", "complex")  # of one scene after the other


def _draw(root: Path, chunk: Chunk) -> Pieces:
    """The images are those of COCO, which are there."""
    records: dict[str, list[Any]] = defaultdict(list)
    quota = Quota()
    for index, scene in chunk.scenes():
        name = f"{image_id(chunk.stream, index):012d}"
        rng = wording(chunk.seed, f"llava_instruct {chunk.stream}", index)
        if chunk.stream == "train":
            kind = SHARES[index % len(SHARES)]
            if turns := conversation(kind, scene, rng, quota):
                records[kind].append(_record(name, turns, rng))
        else:
            found = {kind: conversation(kind, scene, rng, quota) for kind in KINDS}
            records["bench"] += [
                _bench(name, kind, turns[0]) for kind, turns in found.items() if all(found.values())
            ]
    records["all"] = [record for kind in KINDS for record in records.get(kind, ())]
    return Pieces(chunk.stream, {name: json_lines(lines) for name, lines in records.items()})


def _record(name: str, turns: Turns, rng: random.Random) -> dict[str, Any]:
    first = rng.choice(("<image>\n{}", "{}\n<image>"))
    values = [
        (who, value) for turn in turns for who, value in zip(("human", "gpt"), turn, strict=True)
    ]
    said = [
        {"from": who, "value": first.format(value) if i == 0 else value}
        for i, (who, value) in enumerate(values)
    ]
    return {"id": name, "image": f"{name}.jpg", "conversations": said}


def _bench(name: str, kind: str, turn: tuple[str, str]) -> dict[str, str]:
    image = f"COCO_val2014_{name}.jpg"
    return {"id": name, "image": image, "instruction": turn[0], "output": turn[1], "type": kind}


def _write(root: Path, pieces: Sequence[Pieces]) -> None:
    train, bench = of_stream(pieces, "train"), of_stream(pieces, "test")
    for kind, name in {**FILES, "all": "llava_instruct_150k"}.items():
        write_list(root / f"{name}.json", column(train, kind))
    write_lines(
        root / "coco2014_val_gpt4_qa_30x3.jsonl", each(bench, "bench")[: NUM_BENCH * len(KINDS)]
    )


def _texts(scene: Scene, rng: random.Random) -> list[str]:
    scenes = (scene, replace(scene, objects=scene.objects[:2]))  # two may have nothing in common
    said = [conversation(kind, some, rng, Quota()) for some in scenes for kind in KINDS]
    return [text for turns in said for turn in turns for text in turn]


FORMAT = Format(
    streams={"train": ("num_train", 0.25), "test": ("num_test", 0.05)},
    draw=_draw,
    write=_write,
    texts=_texts,
)
