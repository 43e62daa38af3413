"""The next coordinate as a distribution over the numbers: how wide it is, and which number stands in its middle.

    p(250) = 0.30, p(260) = 0.25, p(262) = 0.25, p(264) = 0.20      mode 250, median 260

Numbers have an order, of which the likeliest token knows nothing. The mode is the best guess where only an exact hit
counts; the median has the least mean distance, and overlap is lost by distance. Unlike a mean it never falls on a
number to which the model gives no probability.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from vista.decoding.hypothesis import Hypothesis

Coordinates = Literal["mode", "median"]


class NextCoordinates:
    """Where a coordinate may come next, and its distribution there.

    Attributes:
        rows: the answers in which one may come next.
        number_ids: the tokens of 0, 1, 2, ..., int (N,).
        probs: of each number among the legal ones, float (rows, N).
    """

    def __init__(self, answers: Sequence[Hypothesis], log_probs: Tensor) -> None:
        """Look the numbers up.

        Args:
            answers: in the making, all of one tokenizer.
            log_probs: of their next token, float (B, V), -inf where it is not legal.
        """
        self.rows: list[int] = []
        for row, answer in enumerate(answers):
            if answer.automaton.asks_coordinate(answer.state):
                self.rows.append(row)
        self._log_probs = log_probs
        # Words have no coordinates: their steps are not to pay for any.
        if self.rows:
            self.number_ids = answers[0].automaton.number_index.to(log_probs.device)
            self.probs = log_probs[self.rows].index_select(1, self.number_ids).softmax(1)

    def spreads(self) -> Tensor:
        """Standard deviation in bins, float (B,); NaN where no coordinate may come next."""
        spreads = self._log_probs.new_full((len(self._log_probs),), torch.nan)
        if self.rows:
            values = torch.arange(len(self.number_ids), device=spreads.device, dtype=torch.float)
            mean = self.probs @ values  # (rows,)
            deviation = values - mean[:, None]
            variance = (self.probs * deviation**2).sum(1)
            spreads[self.rows] = variance.sqrt()
        return spreads

    def read_medians(self, tokens: Tensor) -> Tensor:
        """The same tokens, int (B,), but the median number in place of every coordinate.

        A token that is none, as the bracket that closes an empty mask, was likelier than any number and stays. Of two
        medians the lower is taken.
        """
        if not self.rows:
            return tokens
        # In doubles, sums of numbers as likely as each other are exact, so that a tie stays one in every batch.
        cumulated = self.probs.double().cumsum(1)
        medians = torch.searchsorted(cumulated, cumulated[:, -1:] / 2).squeeze(1)
        chosen = tokens[self.rows]
        is_coordinate = torch.isin(chosen, self.number_ids)
        read = tokens.clone()
        read[self.rows] = torch.where(is_coordinate, self.number_ids[medians], chosen)
        return read
