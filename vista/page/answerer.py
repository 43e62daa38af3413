"""One model for all who ask: a thread gives every answer in the making its next token, whoever asked for it.

Questions join while others are answered, so that nobody waits for the end of somebody else's mask; see
`vista.decoding.live`. What a person is told is their own answer's tokens and nothing else.
"""

import sys
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from threading import Lock, Thread

import torch
from torch import Tensor

from vista.data import InputError
from vista.decoding.coordinates import Coordinates
from vista.decoding.greedy import read_prompts
from vista.decoding.hypothesis import Hypothesis
from vista.decoding.live import LiveAnswers
from vista.models.vistallm import VistaLLM
from vista.page.limits import Limits
from vista.tokens.batch import Sample, collate
from vista.tokens.tokenizer import Tokenizer

FAULT = (
    "this question could not be answered, through a fault of the program; the terminal says which"
)


@dataclass(eq=False)
class Asked:
    """A question on its way to the model.

    Attributes:
        sample: the prompt.
        images: float (3, S, S) of every picture that the sample names.
        answer: in the making.
        news: the answer's tokens after every step; None: it has ended; an error: there will be none.
        left: whether nobody waits for it any more.
    """

    sample: Sample
    images: dict[str, Tensor]
    answer: Hypothesis
    news: SimpleQueue[list[int] | Exception | None] = field(default_factory=SimpleQueue)
    left: bool = False


class Answerer:
    """The model and its thread."""

    def __init__(
        self, model: VistaLLM, tokenizer: Tokenizer, coordinates: Coordinates, limits: Limits
    ) -> None:
        """Start the thread, which ends with the process.

        Args:
            model: in evaluation mode.
            tokenizer: of its language model.
            coordinates: see `vista.decoding.greedy.generate`.
            limits: of rows, of the queue and of seconds.
        """
        self.model, self.tokenizer, self.coordinates = model, tokenizer, coordinates
        self.limits = limits
        self._waiting: SimpleQueue[Asked] = SimpleQueue()
        self._count, self._lock = 0, Lock()
        Thread(target=self._work, daemon=True).start()

    def answer(self, asked: Asked) -> Iterator[list[int]]:
        """The tokens of an answer, ever more of them; it may be broken off at any time.

        Raises:
            InputError: too many people wait; it took too long; or the model failed, which the terminal tells of.
        """
        if asked.answer.done:  # the grammar leaves nothing open
            return
        with self._lock:
            if self._count >= self.limits.rows + self.limits.queue:
                raise InputError("too many questions are waiting; ask again in a minute")
            self._count += 1
        try:
            self._waiting.put(asked)
            yield from self._news(asked)
        finally:
            asked.left = True
            with self._lock:
                self._count -= 1

    def _news(self, asked: Asked) -> Iterator[list[int]]:
        deadline = time.monotonic() + self.limits.seconds
        while True:
            try:
                news = asked.news.get(timeout=max(0.0, deadline - time.monotonic()))
            except Empty:
                raise InputError(
                    f"stopped after {self.limits.seconds:.0f} seconds, the most for an answer"
                ) from None
            if news is None:
                return
            if isinstance(news, Exception):
                raise InputError(FAULT) from news
            yield news

    def _work(self) -> None:
        live, active = LiveAnswers(self.model.language_model, self.coordinates), list[Asked]()
        while True:
            new = self._next(active)
            active += new
            try:
                for asked in [asked for asked in active if asked.left]:
                    live.drop(asked.answer)
                    active.remove(asked)
                self._step(live, [asked for asked in new if asked in active])
            except Exception as error:  # one question's fault must not be the end of all later ones
                traceback.print_exc(file=sys.stderr)
                live = LiveAnswers(self.model.language_model, self.coordinates)
                for asked in active:
                    asked.news.put(error)
                active = []
            active = [asked for asked in active if _tell(asked)]

    def _next(self, active: list[Asked]) -> list[Asked]:
        """Questions that begin now; where none is being answered, the next one is waited for."""
        new: list[Asked] = []
        while len(active) + len(new) < self.limits.rows:
            try:
                new.append(self._waiting.get(block=not active and not new))
            except Empty:
                break
        return new

    def _step(self, live: LiveAnswers, new: list[Asked]) -> None:
        prompts = self._read(new)
        live.step([(prompt, [asked.answer]) for prompt, asked in zip(prompts, new, strict=True)])

    @torch.inference_mode()
    def _read(self, new: list[Asked]) -> list[Tensor]:
        """Embeddings of the prompts, float (t, D) each."""
        if not new:
            return []
        images: dict[str, Tensor] = {}
        for asked in new:
            images |= asked.images
        queries = self.model.qformer.num_queries
        samples = [asked.sample for asked in new]
        batch = collate(samples, images, self.tokenizer, queries, pad_left=True)
        device = self.model.query_tokens.device
        for name, tensor in batch.items():
            batch[name] = tensor.to(device)  # type: ignore[literal-required, attr-defined]
        return read_prompts(self.model, batch)


def _tell(asked: Asked) -> bool:
    """Hand a person what there is; whether there will be more."""
    asked.news.put(list(asked.answer.token_ids))
    if asked.answer.done:
        asked.news.put(None)
    return not asked.answer.done
