"""From a batch of questions to parsed answers: which way of decoding is taken, and what is kept beside the text.

batch -> grammar of each question -> generate, beam_search, option_probabilities -> text -> task.parse -> Prediction
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import get_args

from vista.data import Annotation, InputError, Prediction
from vista.decoding.automaton import Automaton
from vista.decoding.beam import beam_search
from vista.decoding.coordinates import Coordinates
from vista.decoding.grammar import Choice, Grammar, Text, compile_grammar
from vista.decoding.greedy import Sampling, generate
from vista.decoding.hypothesis import Hypothesis
from vista.decoding.options import option_probabilities
from vista.models.vistallm import VistaLLM
from vista.task import Task
from vista.tokens.batch_types import Batch
from vista.tokens.tokenizer import Tokenizer


@dataclass(frozen=True)
class Decoding:
    """How answers are written.

    Attributes:
        grammar: decode under each task's grammar; else any words, up to the task's `max_new_tokens`.
        rank_options: answer a question whose grammar is a choice by its likeliest option, and keep the
            probabilities of all of them in `Prediction.scores`; else decode.
        num_beams: of beam search; 1: greedy.
        temperature: above 0, tokens are drawn.
        coordinates: of greedy answers: `mode`, each the likeliest number, or `median`, the median of the numbers'
            distribution (`vista/decoding/coordinates.py`).
    """

    grammar: bool = True
    rank_options: bool = False
    num_beams: int = 1
    temperature: float = 0.0
    coordinates: Coordinates = "mode"


class Decoder:
    """From a batch of questions to predictions, in the way that the settings say."""

    def __init__(self, tokenizer: Tokenizer, settings: Decoding | None = None) -> None:
        """Keep the settings.

        Args:
            tokenizer: of the language model.
            settings: of decoding; None: greedy, under each task's grammar.

        Raises:
            InputError: settings that exclude each other.
        """
        settings = settings or Decoding()
        if settings.num_beams > 1 and settings.temperature > 0:
            raise InputError(
                f"decode with num_beams {settings.num_beams} or with temperature "
                f"{settings.temperature}, not with both"
            )
        _check_coordinates(settings, tokenizer)
        self.tokenizer = tokenizer
        self.settings = settings

    def __call__(
        self,
        model: VistaLLM,
        batch: Batch,
        tasks: Sequence[Task],
        annotations: Sequence[Annotation],
    ) -> list[Prediction]:
        """Answer every question of a batch.

        Args:
            model: in evaluation mode.
            batch: as for `vista.decoding.greedy.generate`.
            tasks: of each question.
            annotations: what is asked about.
        """
        grammars = [self._grammar(task, a) for task, a in zip(tasks, annotations, strict=True)]
        choices = [choice for choice in map(_only_choice, grammars) if choice is not None]
        # A batch is of one way: options are ranked only where every question has them.
        if self.settings.rank_options and len(choices) == len(grammars):
            return self._rank(model, batch, tasks, annotations, choices)
        automata = [compile_grammar(grammar, self.tokenizer) for grammar in grammars]
        answers = self._decode(model, batch, automata, longest_answers(tasks, automata))
        scores = self._score_words(model, batch, tasks)
        predictions = []
        questions = zip(tasks, annotations, answers, scores, strict=True)
        for task, annotation, answer, own in questions:
            text = self.tokenizer.decode(answer.token_ids)
            prediction = task.parse(text, annotation)
            measured = replace(
                prediction,
                scores=prediction.scores | own,
                confidence=answer.confidence,
                spreads=answer.spreads,
            )
            predictions.append(measured)
        return predictions

    def _grammar(self, task: Task, annotation: Annotation) -> Grammar:
        return task.grammar(annotation) if self.settings.grammar else (Text(),)

    def _decode(
        self,
        model: VistaLLM,
        batch: Batch,
        automata: Sequence[Automaton],
        limits: list[int],
    ) -> list[Hypothesis]:
        beams = self.settings.num_beams
        temperature = self.settings.temperature
        if beams > 1:
            return beam_search(model, batch, automata, limits, beams)
        sampling = Sampling(temperature) if temperature > 0 else None
        coordinates = self.settings.coordinates
        return generate(model, batch, automata, limits, sampling, coordinates=coordinates)

    def _score_words(
        self,
        model: VistaLLM,
        batch: Batch,
        tasks: Sequence[Task],
    ) -> list[dict[str, float]]:
        """Probabilities of the words that a task's metric needs, as the first of the answer, among each other."""
        words = []
        for task in tasks:
            words.append([self.tokenizer.encode(word) for word in task.score_words.values()])
        if not any(words):
            return [{} for _ in tasks]
        scores = []
        for task, probs in zip(tasks, option_probabilities(model, batch, words), strict=True):
            scores.append(dict(zip(task.score_words, probs, strict=True)))
        return scores

    def _rank(
        self,
        model: VistaLLM,
        batch: Batch,
        tasks: Sequence[Task],
        annotations: Sequence[Annotation],
        choices: Sequence[Choice],
    ) -> list[Prediction]:
        """The likeliest option of each question."""
        ids = []
        for choice in choices:
            ids.append([self.tokenizer.encode(option, eos=True) for option in choice.options])
        probabilities = option_probabilities(model, batch, ids)
        predictions = []
        questions = zip(tasks, annotations, choices, probabilities, strict=True)
        for task, annotation, choice, probs in questions:
            likeliest = max(range(len(probs)), key=probs.__getitem__)
            prediction = task.parse(choice.options[likeliest], annotation)
            names = {word: name for name, word in task.score_words.items()}
            keys = [names.get(option, option) for option in choice.options]
            scores = dict(zip(keys, probs, strict=True))
            confidence = math.log(max(probs[likeliest], 1e-30))
            predictions.append(replace(prediction, scores=scores, confidence=confidence))
        return predictions


def longest_answers(tasks: Sequence[Task], automata: Sequence[Automaton]) -> list[int]:
    """Most tokens of an answer to each question; the task's limit is for grammars without one of their own."""
    pairs = zip(tasks, automata, strict=True)
    return [automaton.longest_answer or task.max_new_tokens for task, automaton in pairs]


def _check_coordinates(settings: Decoding, tokenizer: Tokenizer) -> None:
    """Refuse, by an InputError, a way to read coordinates that there is not, or not under the other settings."""
    if settings.coordinates not in get_args(Coordinates):
        raise InputError(f"coordinates is {settings.coordinates!r}; it must be mode or median")
    if settings.coordinates == "mode":
        return
    if settings.num_beams > 1 or settings.temperature > 0:
        raise InputError(
            f"coordinates median is for greedy answers; with num_beams {settings.num_beams} and "
            f"temperature {settings.temperature} take coordinates mode"
        )
    if tokenizer.settings["number_tokens"] == "digits":
        raise InputError(
            "coordinates median needs one token per number; with number_tokens digits take coordinates mode"
        )


def _only_choice(grammar: Grammar) -> Choice | None:
    """The choice that a grammar is, None where it is anything else."""
    if len(grammar) == 1 and isinstance(grammar[0], Choice):
        return grammar[0]
    return None
