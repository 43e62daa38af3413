"""From a batch of questions to parsed answers: which way of decoding is taken, and what is kept beside the text.

batch -> grammar of each question -> generate, beam_search, option_probabilities -> text -> task.parse -> Prediction
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from vista.data import Annotation, InputError, Prediction
from vista.decoding.automaton import Automaton
from vista.decoding.beam import beam_search
from vista.decoding.grammar import Choice, Text, compile_grammar
from vista.decoding.greedy import Sampling, generate
from vista.decoding.hypothesis import Answer
from vista.decoding.lengths import longest_answer
from vista.decoding.options import option_probabilities
from vista.models.vistallm import VistaLLM
from vista.task import Task
from vista.tokens.batch import Batch
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
    """

    grammar: bool = True
    rank_options: bool = False
    num_beams: int = 1
    temperature: float = 0.0


class Decoder:
    """From a batch of questions to predictions, in the way that the settings say."""

    def __init__(self, tokenizer: Tokenizer, settings: Decoding | None = None) -> None:
        """Keep the settings.

        Args:
            tokenizer: of the language model.
            settings: of decoding; None: greedy, under each task's grammar.

        Raises:
            InputError: both beams and a temperature.
        """
        settings = settings or Decoding()
        if settings.num_beams > 1 and settings.temperature > 0:
            raise InputError(
                f"decode with num_beams {settings.num_beams} or with temperature "
                f"{settings.temperature}, not with both"
            )
        self.tokenizer, self.settings = tokenizer, settings

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
        grammars = [
            task.grammar(a) if self.settings.grammar else (Text(),)
            for task, a in zip(tasks, annotations, strict=True)
        ]
        choices = [g[0].options for g in grammars if len(g) == 1 and isinstance(g[0], Choice)]
        if self.settings.rank_options and len(choices) == len(grammars):
            return self._rank(model, batch, tasks, annotations, choices)
        automata = [compile_grammar(grammar, self.tokenizer) for grammar in grammars]
        limits = [
            longest_answer(a) or task.max_new_tokens
            for a, task in zip(automata, tasks, strict=True)
        ]
        answers = self._decode(model, batch, automata, limits)
        scores = self._score_words(model, batch, tasks)
        return [
            self._parse(*each) for each in zip(tasks, annotations, answers, scores, strict=True)
        ]

    def _decode(
        self, model: VistaLLM, batch: Batch, automata: Sequence[Automaton], limits: list[int]
    ) -> list[Answer]:
        beams, temperature = self.settings.num_beams, self.settings.temperature
        if beams > 1:
            return beam_search(model, batch, automata, limits, beams)
        sampling = Sampling(temperature) if temperature > 0 else None
        return generate(model, batch, automata, limits, sampling)

    def _parse(
        self, task: Task, annotation: Annotation, answer: Answer, scores: dict[str, float]
    ) -> Prediction:
        """What an answer says, and how sure the model was."""
        prediction = task.parse(self.tokenizer.decode(answer.token_ids), annotation)
        return replace(
            prediction,
            scores=prediction.scores | scores,
            confidence=answer.confidence,
            spreads=answer.spreads,
        )

    def _score_words(
        self, model: VistaLLM, batch: Batch, tasks: Sequence[Task]
    ) -> list[dict[str, float]]:
        """Probabilities of the words that a task's metric needs, as the first of the answer, among each other."""
        words = [
            [self.tokenizer.encode(word) for word in task.score_words.values()] for task in tasks
        ]
        if not any(words):
            return [{} for _ in tasks]
        probs = option_probabilities(model, batch, words)
        return [
            dict(zip(task.score_words, own, strict=True))
            for task, own in zip(tasks, probs, strict=True)
        ]

    def _rank(
        self, model: VistaLLM, batch: Batch, tasks: Sequence[Task], annotations: Sequence[Annotation],
        options: Sequence[Sequence[str]],
    ) -> list[Prediction]:  # fmt: skip
        """The likeliest option of each question."""
        ids = [[self.tokenizer.encode(option, eos=True) for option in own] for own in options]
        predictions = []
        for task, a, own, probs in zip(
            tasks, annotations, options, option_probabilities(model, batch, ids), strict=True
        ):
            best = max(range(len(own)), key=probs.__getitem__)
            names = {word: name for name, word in task.score_words.items()}
            scores = {names.get(option, option): p for option, p in zip(own, probs, strict=True)}
            confidence = math.log(max(probs[best], 1e-30))
            predictions.append(
                replace(task.parse(own[best], a), scores=scores, confidence=confidence)
            )
        return predictions
