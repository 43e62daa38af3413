"""Conversations about a scene, as LLaVA-Instruct has them: several short questions, a description, a comparison.

what color is the large circle?             the large circle is red.
is there a blue ring?                       no, there is no blue ring.
describe the image in detail.               the image shows two objects. a large red circle is on the left. ...
what do the objects have in common?         two of them are red and all of them are circles.
"""

import random
import re
from collections import Counter

from datamodules.synthetic.captions import place
from datamodules.synthetic.phrases import NUMBERS, RELATIONS, listing, with_article
from datamodules.synthetic.questions import Question, Quota, questions
from datamodules.synthetic.scene import Scene

KINDS = ("conv", "detail", "complex")
TURNS = 3
DETAIL = ("describe the image in detail.", "what do you see in the image?")
COMMON = "what do the objects have in common?"
Turns = list[tuple[str, str]]


def conversation(kind: str, scene: Scene, rng: random.Random, quota: Quota) -> Turns:
    """(question, answer) of each turn; empty where a scene of one object leaves nothing to compare."""
    if kind == "conv":
        return [
            (question.text, sentence(question)) for question in questions(scene, rng, quota)[:TURNS]
        ]
    if kind == "detail":
        return [(rng.choice(DETAIL), description(scene))]
    return [(COMMON, in_common(scene))] if len(scene.objects) > 1 else []


def sentence(question: Question) -> str:
    """The answer to a question as a whole sentence."""
    words, answer = question.text.removesuffix("?"), question.answer
    if answer in ("yes", "no"):
        return f"{answer}, {_statement(words, answer == 'yes')}."
    if match := re.fullmatch(r"what (color|shape|size) is (.+)", words):
        return f"{match[2]} is {with_article(answer) if match[1] == 'shape' else answer}."
    things, number = words.removeprefix("how many ").removesuffix(" are there"), int(answer)
    if number == 1:
        return f"there is one {things.removesuffix('s')}."
    return f"there are {NUMBERS[number]} {things}."


def _statement(words: str, positive: bool) -> str:
    """What a yes-or-no question asks for, "is there a ring", said or denied."""
    if words.startswith("is there "):
        thing = words.removeprefix("is there ")
        return f"there is {thing if positive else 'no ' + thing.split(' ', 1)[1]}"
    relations = "|".join(RELATIONS)
    match = re.fullmatch(rf"is (the .+?) ((?:{relations}) the .+)", words) or re.fullmatch(
        r"is (the .+) (\w+)", words
    )
    assert match, words
    return f"{match[1]} is {match[2] if positive else f'not {match[2]}'}"


def description(scene: Scene) -> str:
    """How many objects there are, then each with its place, from left to right."""
    number = len(scene.objects)
    first = f"the image shows {NUMBERS[number]} object{'s' if number > 1 else ''}."
    return " ".join(
        [first, *(f"{with_article(item.name)} is {place(scene, item)}." for item in scene.objects)]
    )


def in_common(scene: Scene) -> str:
    """The colors and shapes that several objects share."""
    shared = []
    for attribute, ending in (("color", ""), ("shape", "s")):
        for value, number in Counter(
            getattr(item.kind, attribute) for item in scene.objects
        ).items():
            who = "all" if number == len(scene.objects) else NUMBERS[number]
            shared += [f"{who} of them are {value}{ending}"] if number > 1 else []
    return f"{listing(shared) if shared else 'they have nothing in common'}."
