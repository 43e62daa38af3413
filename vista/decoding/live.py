"""Answers in the making under one KV cache, a token at a time; questions come and go while others are answered.

    live = LiveAnswers(model.language_model)
    live.step([(prompt, [answer]), ...])    # these are read, and every answer gets its next token
    live.step()                             # an answer that has ended has left
    live.drop(answer)                       # nobody waits for it any more

What one answer says does not depend on its neighbours. `vista.decoding.greedy.generate` answers a whole batch by it,
`vista.page` the people who are on a page.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from transformers import PreTrainedModel

from vista.decoding.coordinates import Coordinates, NextCoordinates
from vista.decoding.hypothesis import Hypothesis
from vista.decoding.kv import KVBatch

Choose = Callable[[Tensor, Sequence[Hypothesis]], Tensor]


class LiveAnswers:
    """The answers and their rows.

    Attributes:
        answers: that have not ended, in the order of the rows.
    """

    def __init__(
        self, llm: PreTrainedModel, coordinates: Coordinates = "mode", choose: Choose | None = None
    ) -> None:
        """Start without answers.

        Args:
            llm: in evaluation mode.
            coordinates: see `vista.decoding.greedy.generate`.
            choose: of log-probabilities, float (B, V), and the answers that they are of, the next tokens, int (B,);
                None: the likeliest.
        """
        self.answers: list[Hypothesis] = []
        self._rows = KVBatch(llm)
        self._coordinates, self._choose = coordinates, choose

    @torch.inference_mode()
    def step(self, new: Sequence[tuple[Tensor, Sequence[Hypothesis]]] = ()) -> None:
        """Give every answer its next token, and what its grammar forces behind it.

        Args:
            new: prompts, embeddings float (t, D), each read once for the answers that begin behind it, of one grammar
                and as many as of every other.
        """
        logits = []
        if self.answers:
            logits.append(self._rows.feed([answer.take() for answer in self.answers]))
        if new:
            starts = []
            for prompt, answers in new:
                forced = [answer.take() for answer in answers]  # the same for all of them
                starts.append(torch.cat([prompt, self._rows.embed(forced[0])]))
                self.answers += answers
            logits.append(self._rows.add(starts, len(new[0][1])))
        if not logits:
            return
        log_probs = legal_log_probs(self.answers, torch.cat(logits))  # (rows, V)
        next_coordinates = NextCoordinates(self.answers, log_probs)
        tokens = self._choose(log_probs, self.answers) if self._choose else log_probs.argmax(1)
        if self._coordinates == "median":
            tokens = next_coordinates.read_medians(tokens)
        _append(self.answers, log_probs, tokens, next_coordinates.spreads())
        self._keep([answer for answer in self.answers if not answer.done])

    def drop(self, answer: Hypothesis) -> None:
        """Leave an answer where it is; one that is not in the making is none of ours."""
        self._keep([other for other in self.answers if other is not answer])

    @torch.inference_mode()
    def _keep(self, answers: list[Hypothesis]) -> None:
        if len(answers) == len(self.answers):
            return
        row_of = {id(answer): row for row, answer in enumerate(self.answers)}
        self._rows.select([row_of[id(answer)] for answer in answers])
        self.answers = answers


def legal_log_probs(answers: Sequence[Hypothesis], logits: Tensor) -> Tensor:
    """Log-probabilities among the legal tokens, float (B, V), -inf for the others."""
    masks = [answer.legal() for answer in answers]
    # Answers in one state share their mask, which goes to the device once.
    different = list({id(mask): mask for mask in masks}.values())
    index = {id(mask): k for k, mask in enumerate(different)}
    rows = [index[id(mask)] for mask in masks]
    legal = torch.stack(different).to(logits.device)[rows]  # (B, V)
    # A table may have more rows than there are tokens.
    legal_logits = logits[:, : legal.shape[1]].float().masked_fill(~legal, -torch.inf)
    return legal_logits.log_softmax(1)


def _append(
    answers: Sequence[Hypothesis],
    log_probs: Tensor,
    tokens: Tensor,
    spreads: Tensor,
) -> None:
    """Append the tokens that were chosen, int (B,), to their answers."""
    chosen = log_probs.gather(1, tokens[:, None]).squeeze(1)
    # In one table, so that a device is waited for once; a double holds every token id.
    table = torch.stack([tokens.double(), chosen.double(), spreads.double()], dim=1)  # (B, 3)
    for answer, (token, log_prob, spread) in zip(answers, table.tolist(), strict=True):
        answer.append(int(token), log_prob, spread)
