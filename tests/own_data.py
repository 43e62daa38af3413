"""Own data to test with: expressions on pictures of the generated world, or on dark ones, in the forms people have."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from datamodules.readers import READERS
from vista.data import Annotation, Box, Size
from vista.geometry import decode_segmentation

WORDING = "Please provide the bounding box coordinate of the region this sentence describes: "


def of_world(world: Path, split: str = "train") -> list[Annotation]:
    """The expressions of a generated world, each with its box and mask."""
    return list(READERS["refcoco"](world, split))


def scaled(box: Box, size: Size, convention: str) -> list[float]:
    """A box in pixels of an image of (H, W), written in a convention."""
    height, width = size
    sides = (width, height, width, height)
    if convention == "padded":
        square = max(size)
        pads = [(square - side) / 2 for side in sides]
        return [round((x + pad) / square, 3) for x, pad in zip(box, pads, strict=True)]
    if convention == "norm1":
        return [round(x / side, 3) for x, side in zip(box, sides, strict=True)]
    if convention == "norm1000":
        return [round(1000 * x / side) for x, side in zip(box, sides, strict=True)]
    return [round(x, 1) for x in box]


def record(form: str, a: Annotation, box: Sequence[float], bbox_type: str = "") -> dict:
    """One expression in a form, its box as it is to be written."""
    corners = "({:g},{:g}),({:g},{:g})".format(*box)
    question, found = f"<image>\n{WORDING}{a.expression}", json.dumps(list(box))
    (image,) = a.images
    if form == "ms-swift":
        objects = {"ref": [a.expression], "bbox": [list(box)]}
        question, found = "<image>Find the <ref-object>", "<bbox>"
        turns = [{"role": "user", "content": question}, {"role": "assistant", "content": found}]
        kind = {"bbox_type": bbox_type} if bbox_type else {}
        return {"messages": turns, "images": [image], "objects": objects | kind}
    if form == "shikra":
        return {"img_path": image, "expression": a.expression, "bbox": list(box)}
    roles = ("human", "gpt")
    if form == "qwen":
        question = f"Picture 1: <img>{image}</img>\nFind the {a.expression}"
        found = f"<ref>{a.expression}</ref><box>{corners}</box>"
        roles = ("user", "assistant")
    if form == "internvl":
        found = f"<ref>{a.expression}</ref><box>[{found}]</box>"
    said = zip(roles, (question, found), strict=True)
    named = {} if form == "qwen" else {"image": image}
    return {"id": a.id, **named, "conversations": [{"from": r, "value": v} for r, v in said]}


def write_lines(path: Path, records: Iterable[object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{json.dumps(each)}\n" for each in records))


def write_jsonl(
    path: Path, form: str, annotations: Sequence[Annotation], convention: str, bbox_type: str = ""
) -> None:
    """A file of a form, its boxes in a convention."""
    write_lines(
        path,
        (
            record(form, a, scaled(a.boxes[0], a.sizes[0], convention), bbox_type)
            for a in annotations
        ),
    )


def write_masks(root: Path, annotations: Sequence[Annotation], world: Path) -> None:
    """Images beside masks of the same stem, in a folder for each expression."""
    for a in annotations:
        folder = root / a.expression
        folder.mkdir(parents=True, exist_ok=True)
        stem = Path(a.images[0]).stem
        (folder / f"{stem}.jpg").write_bytes((world / a.images[0]).read_bytes())
        mask = decode_segmentation(a.segmentations[0], a.sizes[0])
        Image.fromarray(mask.astype(np.uint8) * 255).save(folder / f"{stem}.png")


def grey(path: Path, size: Size) -> None:
    """A dark image of (H, W)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("1", size[::-1]).save(path, compress_level=1)


def plain(number: int, size: Size, root: Path, seed: int = 0) -> list[Annotation]:
    """Expressions on dark images of (H, W), their boxes anywhere in them."""
    rng = np.random.default_rng(seed)
    height, width = size
    found = []
    for k in range(number):
        path = f"photos/{k}.png"
        if k == 0:
            grey(root / path, size)
        elif not (root / path).exists():
            (root / path).hardlink_to(root / "photos/0.png")
        x, y = np.sort(rng.uniform(0, width, 2)), np.sort(rng.uniform(0, height, 2))
        box = (float(x[0]), float(y[0]), float(max(x[1], x[0] + 5)), float(max(y[1], y[0] + 5)))
        clipped = (
            min(box[0], width - 5.0),
            min(box[1], height - 5.0),
            min(box[2], width),
            min(box[3], height),
        )
        found.append(
            Annotation(str(k), (path,), (size,), expression=f"thing {k}", boxes=(clipped,))
        )
    return found
