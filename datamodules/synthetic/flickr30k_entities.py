"""Flickr30k Entities of the generated world: phrases with boxes (https://github.com/BryanPlummer/flickr30k_entities).

    flickr30k_entities/train.txt, val.txt, test.txt     image ids
    flickr30k_entities/Sentences/<id>.txt               five captions, spaces between the tokens
    flickr30k_entities/Annotations/<id>.xml             boxes, xyxy in pixels
    flickr30k_entities/flickr30k-images/<id>.jpg

    [/EN#5/other two small red rings] and [/EN#3/other a large blue square] .
    [/EN#0/notvisual an image] with [/EN#3/other a large blue square] on [/EN#9/scene a grey background] .

Each object is a chain; so are equal objects together, and all objects ("three objects"): a box may have three names, a
chain several boxes. The scene has no box.
"""

import random
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from datamodules.synthetic.captions import OPENINGS, place
from datamodules.synthetic.chunks import Chunk, Pieces, column, of_stream
from datamodules.synthetic.coco import image_id
from datamodules.synthetic.files import save_image, write_lines
from datamodules.synthetic.format import Format
from datamodules.synthetic.phrases import (
    NUMBERS,
    clear_relations,
    listing,
    with_article,
    wording,
)
from datamodules.synthetic.scene import Scene

SPLITS = ("train", "val", "test")
# Chains:
FIRST = 1  # the first object
EQUAL = 5  # the first of several equal objects
ALL = 8  # all objects
SCENE = 9  # the background
FOLDERS = ("Sentences", "Annotations", "flickr30k-images")


def sentences(scene: Scene, rng: random.Random) -> list[str]:
    """Five captions with their markup."""
    phrases = [_phrase(k, with_article(item.name)) for k, item in enumerate(scene.objects, FIRST)]
    names = listing(_names(scene))
    opening, _, preposition = rng.choice(OPENINGS).rpartition(" ")
    image = _phrase(0, opening, "notvisual")
    background = _phrase(SCENE, "a grey background", "scene")
    return [
        f"{names}.",
        f"{_how_many(scene)}, {names}.",
        f"{_with_places(scene, phrases)}.",
        f"{_related(scene, phrases, rng) or _only_object(names)}.",
        f"{image} {preposition} {names} on {background}.",
    ]


def _how_many(scene: Scene) -> str:
    number = len(scene.objects)
    if number == 1:
        return f"there is {_phrase(ALL, 'one object')}"
    return f"there are {_phrase(ALL, f'{NUMBERS[number]} objects')}"


def _with_places(scene: Scene, phrases: Sequence[str]) -> str:
    pairs = zip(phrases, scene.objects, strict=True)
    return listing([f"{phrase} {place(scene, item)}" for phrase, item in pairs])


def _only_object(names: str) -> str:
    subject = _phrase(0, "the only object", "notvisual")
    return f"{subject} is {names}"


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
    phrases = []
    for chain, (name, positions) in enumerate(_equal(scene).items(), EQUAL):
        if len(positions) == 1:
            phrases.append(_phrase(FIRST + positions[0], with_article(name)))
        else:
            phrases.append(_phrase(chain, f"{NUMBERS[len(positions)]} {name}s"))
    return phrases


def _related(scene: Scene, phrases: Sequence[str], rng: random.Random) -> str:
    """Two objects by their relation, then the rest; empty for one object."""
    relations = clear_relations(scene)
    if not relations:
        return ""
    i, relation, j = rng.choice(relations)
    text = f"{phrases[i]} {relation} {phrases[j]}"
    rest = [phrase for k, phrase in enumerate(phrases) if k not in (i, j)]
    return f"{text}, and {listing(rest)}" if rest else text


def boxes_xml(name: str, scene: Scene) -> str:
    """The content of a scene's file of boxes."""
    height, width = scene.image.shape[:2]
    lines = [
        "<annotation>",
        f"<filename>{name}.jpg</filename>",
        f"<size><width>{width}</width><height>{height}</height><depth>3</depth></size>",
    ]
    for position, item in enumerate(scene.objects):
        names = "".join(f"<name>{chain}</name>" for chain in _chains(scene, position))
        corners = zip(("xmin", "ymin", "xmax", "ymax"), item.box, strict=True)
        box = "".join(f"<{corner}>{value}</{corner}>" for corner, value in corners)
        lines.append(f"<object>{names}<bndbox>{box}</bndbox></object>")
    background = f"<name>{SCENE}</name><scene>1</scene><nobndbox>1</nobndbox>"
    lines += [f"<object>{background}</object>", "</annotation>", ""]
    return "\n".join(lines)


def _chains(scene: Scene, position: int) -> list[int]:
    """The chains that an object belongs to."""
    chains = [FIRST + position]
    for chain, positions in enumerate(_equal(scene).values(), EQUAL):
        if position in positions and len(positions) > 1:
            chains.append(chain)
    return [*chains, ALL]


def _draw(root: Path, chunk: Chunk) -> Pieces:
    for folder in FOLDERS:
        (root / folder).mkdir(parents=True, exist_ok=True)
    names = []
    for index, scene in chunk.scenes():
        name = str(image_id(chunk.stream, index))
        texts = sentences(scene, wording(chunk.seed, chunk.stream, index))
        content = "".join(f"{_tokens(text)}\n" for text in texts)
        (root / "Sentences" / f"{name}.txt").write_text(content)
        (root / "Annotations" / f"{name}.xml").write_text(boxes_xml(name, scene))
        save_image(root / "flickr30k-images" / f"{name}.jpg", scene.image)
        names.append(name)
    return Pieces(chunk.stream, {"ids": "\n".join(names)})


def _tokens(text: str) -> str:
    return text.replace(",", " ,").replace(".", " .")


def _write(root: Path, pieces: Sequence[Pieces]) -> None:
    for split in SPLITS:
        own = of_stream(pieces, f"flickr30k_entities_{split}")
        write_lines(root / f"{split}.txt", column(own, "ids"))


def _texts(scene: Scene, rng: random.Random) -> list[str]:
    return [_tokens(_without_markup(text)) for text in sentences(scene, rng)]


def _without_markup(text: str) -> str:
    return re.sub(r"\[/EN#\d+/\w+ |\]", "", text)


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
