"""Sentences of the generated world, of all kinds, for building a vocabulary."""

from collections.abc import Iterator
from itertools import count, islice

from datamodules.synthetic.captions import captions
from datamodules.synthetic.phrases import describe, wording
from datamodules.synthetic.questions import Quota, questions
from datamodules.synthetic.scene import draw_kinds, draw_scene, generator
from datamodules.synthetic.statements import STATEMENT_KINDS, draw_statement


def sentences(seed: int, n: int) -> list[str]:
    """Captions, expressions, questions, answers and statements about scenes of a stream of their own.

    Args:
        seed: seed of the scenes and of the wording.
        n: how many; two thousand hold every word there is.
    """
    return list(islice(_sentences(seed), n))


def _sentences(seed: int) -> Iterator[str]:
    quota = Quota()
    for index in count():
        rng, words = generator(seed, "language", index), wording(seed, "language", index)
        scene = draw_scene(rng, draw_kinds(rng))
        yield draw_statement(STATEMENT_KINDS[index % len(STATEMENT_KINDS)], words).text
        yield from captions(scene, words)
        yield from (text for text in (describe(scene, item, words) for item in scene.objects) if text)
        for question in questions(scene, words, quota):
            yield from (question.text, question.answer)
