"""Beam search under the tasks' grammars: the likeliest whole answer that a few beams find.

Forced tokens cost nothing, neither steps nor score: a beam is scored by the log-probabilities of the tokens that the
grammar left open, among the legal ones. With free text it is transformers' beam search (`early_stopping=False`).
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from vista.decoding.automaton import Automaton
from vista.decoding.greedy import coordinate_spreads, legal_log_probs, read_prompts
from vista.decoding.hypothesis import Answer
from vista.decoding.kv import KVBatch
from vista.models.vistallm import VistaLLM
from vista.tokens.batch import Batch


class _Search:
    """The beams of one question."""

    def __init__(self, start: Answer, num_beams: int, length_penalty: float) -> None:
        self.num_beams, self.length_penalty = num_beams, length_penalty
        self.live, self.finished = ([], [start]) if start.done else ([start], [])  # type: list[Answer], list[Answer]

    def score(self, answer: Answer) -> float:
        return sum(answer.log_probs) / len(answer.token_ids) ** self.length_penalty

    def extend(self, log_probs: Tensor, spreads: list[float]) -> list[int]:
        """Replace the live beams by their best continuations; give the beam that each came from.

        Args:
            log_probs: among the legal tokens, float (b, V).
            spreads: of each beam's next coordinate.
        """
        totals = log_probs + log_probs.new_tensor([[sum(a.log_probs)] for a in self.live])
        # At most half of so many end, so that as many beams as before can go on.
        best = totals.flatten().topk(min(2 * self.num_beams, totals.numel()))
        parents, live = list[int](), list[Answer]()
        for rank, (total, place) in enumerate(
            zip(best.values.tolist(), best.indices.tolist(), strict=True)
        ):
            beam, token = divmod(place, log_probs.shape[1])
            if total == -torch.inf or len(live) == self.num_beams:
                break
            child = self.live[beam].fork()
            child.append(token, float(log_probs[beam, token]), spreads[beam])
            if not child.done:
                live.append(child)
                parents.append(beam)
            elif rank < self.num_beams:
                self.finished.append(child)
        self.finished = sorted(self.finished, key=self.score, reverse=True)[: self.num_beams]
        self.live = live if self._may_improve(live) else []
        return parents[: len(self.live)]

    def _may_improve(self, live: list[Answer]) -> bool:
        if not live or len(self.finished) < self.num_beams:
            return bool(live)
        return self.score(live[0]) > self.score(self.finished[-1])


@torch.inference_mode()
def beam_search(
    model: VistaLLM,
    batch: Batch,
    automata: Sequence[Automaton],
    max_new_tokens: int | Sequence[int] = 512,
    num_beams: int = 4,
    length_penalty: float = 1.0,
    max_rows: int = 64,
) -> list[Answer]:
    """Answer every sample of a batch by beam search.

    Args:
        model: in evaluation mode.
        batch: as for `vista.decoding.greedy.generate`.
        automata: the compiled grammar of each sample.
        max_new_tokens: longest answer, of all samples or of each; see `vista.decoding.hypothesis.Answer`.
        num_beams: answers in the making for each sample.
        length_penalty: an answer's log-probability is divided by its number of tokens to this power.
        max_rows: answers in the making at a time.

    Returns:
        the best answer to each sample.
    """
    limits = [max_new_tokens] * len(automata) if isinstance(max_new_tokens, int) else max_new_tokens
    starts = [Answer(automaton, limit) for automaton, limit in zip(automata, limits, strict=True)]
    searches = [_Search(start, num_beams, length_penalty) for start in starts]
    prompts = read_prompts(model, batch)
    open_ = [i for i, search in enumerate(searches) if search.live]
    size = max(1, max_rows // num_beams)
    for begin in range(0, len(open_), size):
        group = open_[begin : begin + size]
        _run(
            [searches[i] for i in group], [prompts[i] for i in group], KVBatch(model.language_model)
        )
    return [search.finished[0] for search in searches]


def _run(searches: Sequence[_Search], prompts: Sequence[Tensor], rows: KVBatch) -> None:
    """Search until no question has a live beam; every question begins with one."""
    starts = [
        torch.cat([p, rows.embed(s.live[0].take())]) for p, s in zip(prompts, searches, strict=True)
    ]
    logits = rows.add(starts)
    while any(search.live for search in searches):
        beams = [answer for search in searches for answer in search.live]
        log_probs = legal_log_probs(beams, logits)
        spreads, kept, begin = coordinate_spreads(beams, log_probs).tolist(), list[int](), 0
        for search in searches:
            own = slice(begin, begin + len(search.live))
            if search.live:
                kept += [begin + parent for parent in search.extend(log_probs[own], spreads[own])]
            begin = own.stop
        if kept:
            rows.select(kept)
            logits = rows.feed([answer.take() for search in searches for answer in search.live])
