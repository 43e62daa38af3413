"""Beam search under the tasks' grammars: the likeliest whole answer that a few beams find.

Forced tokens cost nothing, neither steps nor likelihood: a beam is judged by the log-probabilities of the tokens that
the grammar left open, among the legal ones. With free text it is transformers' beam search (`early_stopping=False`).
"""

from collections.abc import Sequence
from itertools import chain

import torch
from torch import Tensor

from vista.decoding.automaton import Automaton
from vista.decoding.coordinates import NextCoordinates
from vista.decoding.greedy import read_prompts
from vista.decoding.hypothesis import Hypothesis, start_hypotheses
from vista.decoding.kv import KVBatch
from vista.decoding.live import legal_log_probs
from vista.models.vistallm import VistaLLM
from vista.tokens.batch_types import Batch


@torch.inference_mode()
def beam_search(
    model: VistaLLM,
    batch: Batch,
    automata: Sequence[Automaton],
    max_new_tokens: int | Sequence[int] = 512,
    num_beams: int = 4,
    length_penalty: float = 1.0,
    max_rows: int = 64,
) -> list[Hypothesis]:
    """Answer every sample of a batch by beam search.

    Args:
        model: in evaluation mode.
        batch: as for `vista.decoding.greedy.generate`.
        automata: the compiled grammar of each sample.
        max_new_tokens: longest answer, of all samples or of each; see `vista.decoding.hypothesis.Hypothesis`.
        num_beams: answers in the making for each sample.
        length_penalty: an answer's log-probability is divided by its number of tokens to this power.
        max_rows: answers in the making at a time.

    Returns:
        the best answer to each sample.
    """
    starts = start_hypotheses(automata, max_new_tokens)
    searches = [_Search(start, num_beams, length_penalty) for start in starts]
    prompts = read_prompts(model, batch)
    unfinished = [i for i, search in enumerate(searches) if search.live]
    size = max(1, max_rows // num_beams)
    for begin in range(0, len(unfinished), size):
        chosen = unfinished[begin : begin + size]
        rows = KVBatch(model.language_model)
        _run([searches[i] for i in chosen], [prompts[i] for i in chosen], rows)
    return [search.finished[0] for search in searches]


class _Search:
    """The beams of one question."""

    def __init__(self, start: Hypothesis, num_beams: int, length_penalty: float) -> None:
        self.num_beams = num_beams
        self.length_penalty = length_penalty
        self.live: list[Hypothesis] = []  # the best first
        self.finished: list[Hypothesis] = []  # the best first
        if start.done:
            self.finished.append(start)
        else:
            self.live.append(start)

    def likelihood(self, beam: Hypothesis) -> float:
        """Log-probability in nats, divided by a power of the length."""
        return sum(beam.log_probs) / len(beam.token_ids) ** self.length_penalty

    def extend(self, log_probs: Tensor, spreads: list[float]) -> list[int]:
        """Replace the live beams by their best continuations; give the beam that each came from.

        Args:
            log_probs: among the legal tokens, float (b, V).
            spreads: of each beam's next coordinate.
        """
        before = log_probs.new_tensor([[sum(beam.log_probs)] for beam in self.live])  # (b, 1)
        totals = (log_probs + before).flatten()
        # At most half of so many end, so that as many beams as before stay in the making.
        best = totals.topk(min(2 * self.num_beams, len(totals)))
        parents: list[int] = []
        live: list[Hypothesis] = []
        ranked = zip(best.values.tolist(), best.indices.tolist(), strict=True)
        for rank, (total, index) in enumerate(ranked):
            if total == -torch.inf or len(live) == self.num_beams:
                break
            parent, token = divmod(index, log_probs.shape[1])
            child = self.live[parent].fork()
            child.append(token, float(log_probs[parent, token]), spreads[parent])
            if not child.done:
                live.append(child)
                parents.append(parent)
            # An end that ranks behind as many continuations is no candidate, as in transformers.
            elif rank < self.num_beams:
                self.finished.append(child)
        self.finished.sort(key=self.likelihood, reverse=True)
        del self.finished[self.num_beams :]
        if not self._may_improve(live):
            live, parents = [], []
        self.live = live
        return parents

    def _may_improve(self, live: list[Hypothesis]) -> bool:
        """Whether the best live beam is still before the last finished answer."""
        if not live or len(self.finished) < self.num_beams:
            return bool(live)
        return self.likelihood(live[0]) > self.likelihood(self.finished[-1])


def _run(searches: Sequence[_Search], prompts: Sequence[Tensor], rows: KVBatch) -> None:
    """Search until no question has a live beam; every question begins with one."""
    starts = [rows.embed(search.live[0].take()) for search in searches]
    prompted = [torch.cat(pair) for pair in zip(prompts, starts, strict=True)]
    logits = rows.add(prompted)
    while beams := _live_beams(searches):
        log_probs = legal_log_probs(beams, logits)
        spreads = NextCoordinates(beams, log_probs).spreads().tolist()
        kept: list[int] = []  # rows, one for the parent of each new beam
        begin = 0
        # The rows of one question stand side by side, in the order of its live beams.
        for search in searches:
            end = begin + len(search.live)
            if search.live:
                parents = search.extend(log_probs[begin:end], spreads[begin:end])
                kept += [begin + parent for parent in parents]
            begin = end
        if kept:
            rows.select(kept)
            logits = rows.feed([beam.take() for beam in _live_beams(searches)])


def _live_beams(searches: Sequence[_Search]) -> list[Hypothesis]:
    return list(chain.from_iterable(search.live for search in searches))
