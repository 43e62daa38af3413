"""Conversations about a scene, as LLaVA-Instruct has them: several short questions, a description, a comparison.

what color is the large circle?             the large circle is red.
is there a blue ring in the image?          no, there is no blue ring in the image.
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


def conversation(
    kind: str,
    scene: Scene,
    rng: random.Random,
    quota: Quota,
) -> Turns:
    """(question, answer) of each turn; empty where a scene of one object leaves nothing to compare."""
    if kind == "conv":
        turns = questions(scene, rng, quota)[:TURNS]
        return [(question.text, sentence(question)) for question in turns]
    if kind == "detail":
        prompt = rng.choice(DETAIL)
        return [(prompt, description(scene))]
    if len(scene.objects) < 2:
        return []
    return [(COMMON, common_values(scene))]


def sentence(question: Question) -> str:
    """The answer to a question as a whole sentence."""
    words = question.text.removesuffix("?")
    answer = question.answer
    if answer in ("yes", "no"):
        statement = _statement(words, positive=answer == "yes")
        return f"{answer}, {statement}."
    match = re.fullmatch(r"what (color|shape|size) is (.+)", words)
    if match:
        attribute, subject = match.groups()
        value = with_article(answer) if attribute == "shape" else answer
        return f"{subject} is {value}."
    things = words.removeprefix("how many ").removesuffix(" are there")
    number = int(answer)
    if number == 1:
        return f"there is one {things.removesuffix('s')}."
    return f"there are {NUMBERS[number]} {things}."


def _statement(words: str, positive: bool) -> str:
    """What a yes-or-no question asks for, "is there a ring", affirmed or denied."""
    if words.startswith("is there "):
        thing = words.removeprefix("is there ")
        if positive:
            return f"there is {thing}"
        without_article = thing.split(" ", 1)[1]
        return f"there is no {without_article}"
    relations = "|".join(RELATIONS)
    # Relations first: "is the ring left of the circle" also has the form of "is the ring red".
    match = re.fullmatch(rf"is (the .+?) ((?:{relations}) the .+)", words)
    match = match or re.fullmatch(r"is (the .+) (\w+)", words)
    assert match, words
    subject, predicate = match.groups()
    if positive:
        return f"{subject} is {predicate}"
    return f"{subject} is not {predicate}"


def description(scene: Scene) -> str:
    """How many objects there are, then each with its place, from left to right."""
    number = len(scene.objects)
    things = "objects" if number > 1 else "object"
    texts = [f"the image shows {NUMBERS[number]} {things}."]
    for item in scene.objects:
        texts.append(f"{with_article(item.name)} is {place(scene, item)}.")
    return " ".join(texts)


def common_values(scene: Scene) -> str:
    """The colors and shapes that several objects share."""
    texts = []
    for attribute, ending in (("color", ""), ("shape", "s")):
        counts = Counter(getattr(kind, attribute) for kind in scene.kinds)
        for value, number in counts.items():
            if number > 1:
                who = "all" if number == len(scene.objects) else NUMBERS[number]
                texts.append(f"{who} of them are {value}{ending}")
    if not texts:
        return "they have nothing in common."
    return f"{listing(texts)}."
