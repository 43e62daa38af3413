"""Sentences of the generated world, of all kinds, for building a vocabulary."""

from collections.abc import Iterator, Sequence
from itertools import count, islice

from datamodules.synthetic.captions import captions
from datamodules.synthetic.drawing import draw_kinds, draw_scene
from datamodules.synthetic.formats import FORMATS, chosen_formats
from datamodules.synthetic.phrases import describe, wording
from datamodules.synthetic.questions import Quota, questions
from datamodules.synthetic.scene import MAX_OBJECTS
from datamodules.synthetic.statements import STATEMENT_KINDS, draw_statement
from datamodules.synthetic.streams import generator

OTHER_SCENES = 1 << 32  # first index of the scenes that the further formats speak of


def sentences(seed: int, n: int, formats: str | Sequence[str] = ()) -> list[str]:
    """Captions, expressions, questions, answers and statements about scenes of a stream of their own.

    Args:
        seed: seed of the scenes and of the wording.
        n: how many; two thousand hold every word there is, five thousand where all formats are asked for.
        formats: names of further formats whose texts are wanted too, or "all"; see `write_world`.
    """
    return list(islice(_sentences(seed, chosen_formats(formats)), n))


def _sentences(seed: int, formats: Sequence[str]) -> Iterator[str]:
    quota = Quota()
    for index in count():
        # The scene and the words about it are drawn apart, here as in the world.
        rng = generator(seed, "language", index)
        words = wording(seed, "language", index)
        scene = draw_scene(rng, draw_kinds(rng))
        kind = STATEMENT_KINDS[index % len(STATEMENT_KINDS)]
        yield draw_statement(kind, words).text
        yield from captions(scene, words)
        for item in scene.objects:
            expression = describe(scene, item, words)
            if expression:
                yield expression
        for question in questions(scene, words, quota):
            yield question.text
            yield question.answer
        if formats:
            yield from _texts(seed, index, formats)


def _texts(seed: int, index: int, formats: Sequence[str]) -> Iterator[str]:
    """What the formats say of a scene of four objects."""
    rng = generator(seed, "language", OTHER_SCENES + index)
    scene = draw_scene(rng, draw_kinds(rng, MAX_OBJECTS))
    for name in formats:
        yield from FORMATS[name].texts(scene, wording(seed, f"language {name}", index))
