"""What the page can do, without a server: take pictures, answer questions, write COCO JSON, show examples."""

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field

from vista.codec.codec import Codec
from vista.data import Annotation, InputError
from vista.decoding.grammar import compile_grammar
from vista.decoding.hypothesis import Hypothesis
from vista.images import ImageTransform
from vista.models.pixels import pixels_of
from vista.page.answerer import Answerer, Asked
from vista.page.coco import coco_of
from vista.page.pictures import Pictures
from vista.page.question import (
    FREE,
    Told,
    annotation_of,
    read_question,
    turns_of,
    without_pictures,
)
from vista.page.shapes import images_of, shapes_of
from vista.task import Task
from vista.tokens.batch import Sample, encode_example
from vista.tokens.batch_types import Example

PAUSE = 0.08  # seconds between two looks at an answer in the making; eyes need no more
SHORTEST = 16  # tokens that must be left for an answer


@dataclass(frozen=True)
class ShownExample:
    """A question that is there at a click.

    Attributes:
        title: for people.
        task: name of the task.
        words: of the question.
        pictures: names and contents of files.
        regions: as the browser sends them.
    """

    title: str
    task: str
    words: str
    pictures: Sequence[tuple[str, bytes]]
    regions: Sequence[dict[str, object]] = field(default_factory=tuple)


class Page:
    """A model and the people who ask it."""

    def __init__(
        self,
        answerer: Answerer,
        codec: Codec,
        template: str,
        name: str,
        examples: Sequence[ShownExample] = (),
    ) -> None:
        """Keep the parts.

        Args:
            answerer: with the model.
            codec: how regions are written.
            template: conversation form, see `vista.tokens.batch.encode_example`.
            name: of the model, for people.
            examples: questions that are there at a click.
        """
        self.answerer, self.codec, self.template = answerer, codec, template
        self.name, self.examples, self.limits = name, list(examples), answerer.limits
        pixels = pixels_of(answerer.model.vision_model.config)
        transform = ImageTransform(pixels.size, pixels.mean, pixels.std)
        self.pictures = Pictures(transform, self.limits)
        self.tasks = {task: Task.known[task](codec) for task in sorted(Task.known)}

    def about(self) -> dict[str, object]:
        """What the page is made of: the model's name, tasks, examples and limits."""
        tasks = [_described(task) for name, task in self.tasks.items() if name != FREE]
        return {
            "model": self.name,
            "bins": self.codec.num_bins,
            "free": FREE,
            "tasks": tasks,
            "examples": [example.title for example in self.examples],
            "limits": asdict(self.limits),
        }

    def example(self, number: int) -> dict[str, object]:
        """An example, its pictures as `Pictures.add` gives them.

        Raises:
            InputError: there is no such example.
        """
        if not 0 <= number < len(self.examples):
            raise InputError("there is no such example")
        example = self.examples[number]
        pictures = [self.pictures.add(content, name) for name, content in example.pictures]
        asked: dict[str, object] = {
            "task": example.task,
            "words": example.words,
            "regions": list(example.regions),
        }
        return asked | {"pictures": pictures}

    def ask(self, data: Told) -> Iterator[Told]:
        """An answer as it is written: its text and shapes, at last how sure the model was; or one sentence."""
        told: Told = {}
        try:
            for told in self._answer(data):
                yield told
        except InputError as error:
            yield told | {"error": str(error)}

    def _answer(self, data: Told) -> Iterator[Told]:
        question = read_question(data, self.limits)
        task = self.tasks.get(question.task)
        if task is None:
            raise InputError(f"there is no task {question.task!r}")
        kept = {key: self.pictures.get(key) for key in question.pictures}
        sizes = [kept[key].size for key in question.pictures]
        annotation = annotation_of(question, task, sizes)
        turns = turns_of(question, task, annotation)
        example = Example(annotation.images, turns)
        sample = encode_example(example, self.answerer.tokenizer, self.template, answer=False)
        images = {key: picture.pixels for key, picture in kept.items()}
        asked = Asked(sample, images, self._begin(sample, task, annotation))
        begin = last = time.monotonic()
        prompt = {"prompt": without_pictures(turns[-1][0])}
        for tokens in self.answerer.answer(asked):
            now = time.monotonic()
            if now - last >= PAUSE:
                last = now
                yield prompt | self._told(tokens, task, annotation)
        end = self._told(asked.answer.token_ids, task, annotation)
        yield prompt | end | _measured(asked.answer) | {"seconds": time.monotonic() - begin}

    def _begin(self, sample: Sample, task: Task, annotation: Annotation) -> Hypothesis:
        """The empty answer, whose length the model's positions limit."""
        automaton = compile_grammar(task.grammar(annotation), self.answerer.tokenizer)
        model = self.answerer.model
        read = len(sample.input_ids) + (model.qformer.num_queries - 1) * len(sample.images)
        left = model.language_model.config.max_position_embeddings - read
        wanted = automaton.longest_answer or min(left, task.max_new_tokens)
        if left < max(wanted, SHORTEST):
            raise InputError("the conversation is longer than the model reads; begin a new one")
        return Hypothesis(automaton, wanted)

    def _told(self, tokens: list[int], task: Task, annotation: Annotation) -> Told:
        text = self.answerer.tokenizer.decode(tokens)
        prediction = task.parse(text, annotation)
        shapes = shapes_of(text, images_of(task, annotation, prediction), self.codec)
        return {"text": text, "shapes": shapes, "malformed": prediction.malformed}

    def coco(self, data: Told) -> dict[str, object]:
        """The regions of an answer as COCO JSON; `data` is the question with the answer's `text`.

        Raises:
            InputError: it is not what the page sends, or a picture was forgotten.
        """
        question = read_question(data, self.limits)
        task, text = self.tasks.get(question.task), str(data.get("text", ""))
        if task is None or len(text) > 20 * self.limits.words:
            raise InputError("this is no answer of the page; load it again")
        kept = [self.pictures.get(key) for key in question.pictures]
        sizes = [picture.size for picture in kept]
        annotation = annotation_of(question, task, sizes)
        shapes = shapes_of(
            text, images_of(task, annotation, task.read(text, annotation)), self.codec
        )
        return coco_of(text, shapes, [picture.name for picture in kept], sizes, self.codec)


def _described(task: Task) -> dict[str, object]:
    """A task for people: what it does, and what it asks for."""
    template, marks = task.templates[0], ("<expr>", "<question>")
    return {
        "name": task.name,
        "does": (task.__doc__ or "").strip().split("\n")[0].rstrip("."),
        "words": any(mark in template for mark in marks),
        "region": "<objs>" in template,
        "several": task.multi_image,
    }


def _measured(answer: Hypothesis) -> Told:
    """How sure the model was: mean probability of its free tokens, and the spread of each coordinate in bins."""
    spreads = [round(spread, 1) for spread in answer.spreads]
    return {"done": True, "confidence": math.exp(answer.confidence), "spreads": spreads}
