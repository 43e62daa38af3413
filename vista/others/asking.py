"""Our questions in a family's form: the task's own words, with places as the family writes them.

    asker = Asker(family, task)
    asker.turns(annotation)         # (("<image> Where is ... <|object_ref_start|>the cat<|object_ref_end|> ...", ""),)

What a family has no form for raises `CannotAsk`.
"""

import re
from collections.abc import Sequence
from copy import copy

from vista.codec.codec import Codec
from vista.data import Annotation, Size, Turns
from vista.decoding.grammar import Choice, Grammar, Regions, TextWithBoxes
from vista.others.family import PLACE, CannotAsk, Family, Kind, Part, Question
from vista.task import Task

_MARK = re.compile("[\ue000\ue001]")
# What may name a token of any family, such as `<image>` or `<|image_pad|>`; ours marks images, so it stays.
_TOKEN = re.compile(r"<(?=[|/]?[A-Za-z][^<>\s]{0,40}>)(?!image>)")
# Ours are taught the form of an answer, others must be told.
HINTS = {
    "vqav2": "Answer with a single word or phrase.",
    "textvqa": "Answer with a single word or phrase.",
    "pqa": "Answer with a single word or number.",
    "bqa": "Answer with a single word or number.",
    "iconqa": "Answer with one of the options.",
    "vcr": "Answer with the letter alone.",
    "nlvr2": "Answer with True or False.",
    "reg": "Answer with a short phrase.",
}
CANDIDATES = "Answer with the letter of the right box alone."


class PlaceMarks(Codec):
    """A codec that writes places of a question as marks, for the family to write after all else is neutralised."""

    def __init__(self, family: Family, codec: Codec) -> None:
        """Take the settings of the codec, whose masks tell how many points an answer has.

        Args:
            family: writes the places.
            codec: of our tasks.
        """
        self.__dict__.update(vars(codec))
        self.family = family
        self.written: list[str] = []

    def point_to_text(self, point: Sequence[float], size: Size) -> str:
        """A mark for a point."""
        return self._mark(self.family.write_point((point[0], point[1]), size), "a point")

    def box_to_text(self, box: Sequence[float], size: Size) -> str:
        """A mark for a box."""
        return self._mark(self.family.write_box(box, size), "a box")

    def _mark(self, text: str, part: Part) -> str:
        if part not in self.family.takes:
            raise CannotAsk(self.family.lacking(part))
        self.written.append(text)
        return f"\ue000{len(self.written) - 1}\ue001"

    def fill(self, text: str) -> str:
        """A text with its marks replaced by places."""
        known = range(len(self.written))
        return PLACE.sub(
            lambda mark: self.written[int(mark[1])] if int(mark[1]) in known else "", text
        )


class Asker:
    """Puts the questions of one task into the form of one family."""

    def __init__(self, family: Family, task: Task, cuts_images: bool = False) -> None:
        """Keep both.

        Args:
            family: how it is asked.
            task: what is asked; its codec is not used for places in questions.
            cuts_images: the model does not see the whole image, so that it must not be asked about places.
        """
        self.family, self.task, self.cuts_images = family, task, cuts_images

    def turns(self, annotation: Annotation) -> Turns:
        """All that is asked, the last answer left empty; each image is marked by `<image>`.

        Raises:
            CannotAsk: the family has no form for it.
        """
        places = PlaceMarks(self.family, self.task.codec)
        question = self._question(annotation, places)
        self._check(question)
        if self.cuts_images and (question.kind != "words" or places.written):
            raise CannotAsk(
                f"{self.family.name} cannot be asked about places: the processor of this model cuts out the middle of "
                "an image, so that objects beside it do not exist"
            )
        asked = places.fill(self.family.ask(question))
        before = [(places.fill(prompt), answer) for prompt, answer in question.before]
        return (*before, (asked, ""))

    def _question(self, annotation: Annotation, places: PlaceMarks) -> Question:
        task = copy(self.task)
        task.codec = places
        before: list[tuple[str, str]] = []
        *earlier, (text, _) = task.question(_without_marks(annotation))
        for prompt, answer in earlier:
            before.append((neutral(prompt), neutral(answer).replace("<image>", "")))
        kind = kind_of(self.task.grammar(annotation), len(annotation.images))
        hint = self._hint(annotation, kind)
        return Question(
            kind,
            f"{neutral(text)} {hint}".strip(),
            neutral(annotation.expression).replace("<image>", "< image>"),
            task.name,
            annotation.sizes,
            tuple(before),
        )

    def _hint(self, annotation: Annotation, kind: Kind) -> str:
        if kind == "words" and is_choice_of_boxes(self.task.grammar(annotation)):
            return CANDIDATES
        return HINTS.get(self.task.name, "")

    def _check(self, question: Question) -> None:
        family = self.family
        if question.kind not in family.asked:
            raise CannotAsk(family.lacking(question.kind))
        parts: list[Part] = []
        if max(len(question.sizes), question.text.count("<image>")) > 1:
            parts.append("several images")
        if question.before:
            parts.append("several turns")
        for part in parts:
            if part not in family.takes:
                raise CannotAsk(family.lacking(part))


def kind_of(grammar: Grammar, images: int) -> Kind:
    """What an answer of a grammar is."""
    if any(isinstance(piece, TextWithBoxes) for piece in grammar):
        return "spots"
    regions = [piece for piece in grammar if isinstance(piece, Regions)]
    if not regions:
        return "words"
    (piece,) = regions
    if piece.count and images > 1:
        return "pair" if any(isinstance(each, Choice) for each in grammar) else "groups"
    if piece.numbers == 2:
        return "points"
    if piece.numbers == 4:
        return "boxes" if piece.none else "box"
    return "masks" if piece.none else "mask"


def is_choice_of_boxes(grammar: Grammar) -> bool:
    """Whether the answer is one of several boxes that the question names."""
    pieces = [piece for piece in grammar if isinstance(piece, Choice)]
    return any(map(_are_boxes, pieces))


def _are_boxes(choice: Choice) -> bool:
    return all("[" in option for option in choice.options)


def neutral(text: str) -> str:
    """A text with every string that may name a token of any family broken by a space, but for `<image>`."""
    return _TOKEN.sub("< ", text)


def _without_marks(annotation: Annotation) -> Annotation:
    """An annotation whose texts hold none of the characters that mark places."""
    plain = copy(annotation)
    plain.expression = _MARK.sub("", plain.expression)
    plain.question = _MARK.sub("", plain.question)
    return plain
