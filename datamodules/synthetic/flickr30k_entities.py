"""Flickr30k Entities of the generated world: phrases with boxes (https://github.com/BryanPlummer/flickr30k_entities).

    flickr30k_entities/train.txt, val.txt, test.txt     image ids
    flickr30k_entities/Sentences/<id>.txt               five captions, blanks between the tokens
    flickr30k_entities/Annotations/<id>.xml             boxes, xyxy in pixels
    flickr30k_entities/flickr30k-images/<id>.jpg

    [/EN#5/other two small red rings] and [/EN#3/other a large blue square] .
    [/EN#0/notvisual an image] with [/EN#3/other a large blue square] on [/EN#9/scene a grey background] .

Each object is a chain; so are equal objects together, and all objects ("three objects"): a box may have three names, a
chain several boxes. The scene has no box.
"""

import random
from collections import defaultdict
from collections.abc import Sequence
from itertools import permutations
from pathlib import Path

from datamodules.synthetic.captions import OPENINGS, place
from datamodules.synthetic.chunks import Chunk, Pieces, column
from datamodules.synthetic.coco import image_id
from datamodules.synthetic.files import save_image, write_lines
from datamodules.synthetic.format import Format, of_stream
from datamodules.synthetic.phrases import (
    NUMBERS,
    RELATIONS,
    clearly,
    listing,
    with_article,
    wording,
)
from datamodules.synthetic.scene import Scene

SPLITS = ("train", "val", "test")
EQUAL, ALL, SCENE = (
    5,
    8,
    9,
)  # chains: the first of equal objects, all objects, the background; objects are 1..4
FOLDERS = ("Sentences", "Annotations", "flickr30k-images")


def sentences(scene: Scene, rng: random.Random) -> list[str]:
    """Five captions with their markup."""
    objects = scene.objects
    each = [_phrase(1 + i, with_article(item.name)) for i, item in enumerate(objects)]
    names, count = listing(_names(scene)), len(objects)
    there = _phrase(ALL, f"{NUMBERS[count]} object{'s' if count > 1 else ''}")
    opening, _, verb = rng.choice(OPENINGS).rpartition(" ")
    related = _related(scene, each, rng)
    return [
        f"{names}.",
        f"there {'are' if count > 1 else 'is'} {there}, {names}.",
        f"{listing([f'{phrase} {place(scene, item)}' for phrase, item in zip(each, objects, strict=True)])}.",
        f"{related}." if related else f"{_phrase(0, 'the only object', 'notvisual')} is {names}.",
        f"{_phrase(0, opening, 'notvisual')} {verb} {names} on {_phrase(SCENE, 'a grey background', 'scene')}.",
    ]


def _phrase(chain: int, words: str, kind: str = "other") -> str:
    return f"[/EN#{chain}/{kind} {words}]"


def _equal(scene: Scene) -> dict[str, list[int]]:
    """Positions of the objects by their name."""
    positions: dict[str, list[int]] = defaultdict(list)
    for position, item in enumerate(scene.objects):
        positions[item.name].append(position)
    return positions


def _names(scene: Scene) -> list[str]:
    """The objects from left to right, equal ones together."""
    return [
        _phrase(1 + found[0], with_article(name))
        if len(found) == 1
        else _phrase(EQUAL + k, f"{NUMBERS[len(found)]} {name}s")
        for k, (name, found) in enumerate(_equal(scene).items())
    ]


def _related(scene: Scene, phrases: Sequence[str], rng: random.Random) -> str:
    """Two objects by their relation, then the rest; empty for one object."""
    pairs = [
        (i, relation, j)
        for (i, a), (j, b) in permutations(enumerate(scene.objects), 2)
        for relation in RELATIONS
        if clearly(scene, a, relation, b)
    ]
    if not pairs:
        return ""
    i, relation, j = rng.choice(pairs)
    rest = [phrase for k, phrase in enumerate(phrases) if k not in (i, j)]
    return f"{phrases[i]} {relation} {phrases[j]}" + (f", and {listing(rest)}" if rest else "")


def boxes_xml(name: str, scene: Scene) -> str:
    """The content of a scene's file of boxes."""
    groups = list(_equal(scene).values())
    height, width = scene.image.shape[:2]
    lines = [f"<annotation>\n<filename>{name}.jpg</filename>"]
    lines.append(f"<size><width>{width}</width><height>{height}</height><depth>3</depth></size>")
    for i, item in enumerate(scene.objects):
        chains = [
            1 + i,
            *(EQUAL + k for k, group in enumerate(groups) if i in group and len(group) > 1),
            ALL,
        ]
        corners = zip(("xmin", "ymin", "xmax", "ymax"), item.box, strict=True)
        box = "".join(f"<{corner}>{value}</{corner}>" for corner, value in corners)
        lines.append(
            f"<object>{''.join(f'<name>{c}</name>' for c in chains)}<bndbox>{box}</bndbox></object>"
        )
    lines.append(
        f"<object><name>{SCENE}</name><scene>1</scene><nobndbox>1</nobndbox></object>\n</annotation>\n"
    )
    return "\n".join(lines)


def _draw(root: Path, chunk: Chunk) -> Pieces:
    for folder in FOLDERS:
        (root / folder).mkdir(parents=True, exist_ok=True)
    names = []
    for index, scene in chunk.scenes():
        name = str(image_id(chunk.stream, index))
        texts = sentences(scene, wording(chunk.seed, chunk.stream, index))
        (root / "Sentences" / f"{name}.txt").write_text(
            "".join(f"{_tokens(text)}\n" for text in texts)
        )
        (root / "Annotations" / f"{name}.xml").write_text(boxes_xml(name, scene))
        save_image(root / "flickr30k-images" / f"{name}.jpg", scene.image)
        names.append(name)
    return Pieces(chunk.stream, {"ids": "\n".join(names)})


def _tokens(text: str) -> str:
    return text.replace(",", " ,").replace(".", " .")


def _write(root: Path, pieces: Sequence[Pieces]) -> None:
    for split in SPLITS:
        write_lines(
            root / f"{split}.txt", column(of_stream(pieces, f"flickr30k_entities_{split}"), "ids")
        )


def _texts(scene: Scene, rng: random.Random) -> list[str]:
    plain = [text.replace("]", "").split("[/EN#") for text in sentences(scene, rng)]
    return [
        _tokens(first + "".join(part.split(" ", 1)[1] for part in rest)) for first, *rest in plain
    ]


FORMAT = Format(
    streams={
        "flickr30k_entities_train": ("num_train", 0.1),
        "flickr30k_entities_val": ("num_val", 0.4),
        "flickr30k_entities_test": ("num_test", 0.4),
    },
    draw=_draw,
    write=_write,
    texts=_texts,
)
