"""Rows of about one length together, so that little is padded: the layout of a batch on its way through the LLM.

On a CPU this does as well as packing several samples into a row, without a mask that is quadratic in the row.
"""

from collections.abc import Sequence

import numpy as np


def length_groups(lengths: Sequence[int], most: int) -> list[list[int]]:
    """Rows in groups whose padded sizes sum to the least there is.

    Every process has as many groups as every other whose batch has as many rows: sharded layers gather their weights
    once a group, so that another number would let a process wait for ever.

    Args:
        lengths: tokens of each row.
        most: number of groups; fewer where there are fewer rows.

    Returns:
        indices of rows, the shortest rows first; every row is in one group, and no group is empty.
    """
    order = np.argsort(lengths, kind="stable")
    tall = np.asarray(lengths)[
        order
    ]  # (rows,), rising: a group is a stretch of it, padded to its last
    rows, count = len(tall), min(most, len(tall))
    starts = np.arange(rows)
    cost = np.full(
        rows + 1, np.inf
    )  # cost[i]: least padded size of the first i rows in the groups so far
    cost[0] = 0
    began = np.zeros(
        (count, rows + 1), dtype=int
    )  # began[k, i]: where the last of those groups begins
    # Dynamic programming over the number of groups.
    for k in range(count):
        last, cost = cost, np.full(rows + 1, np.inf)
        for i in range(k + 1, rows + 1):
            sizes = last[:i] + (i - starts[:i]) * tall[i - 1]  # by where group k begins
            began[k, i] = sizes.argmin()
            cost[i] = sizes[began[k, i]]
    # Back from the longest rows: each group begins where the groups before it end.
    groups, end = [], rows
    for k in reversed(range(count)):
        groups.append(order[began[k, end] : end].tolist())
        end = began[k, end]
    return groups[::-1]


def padded_size(lengths: Sequence[int], most: int) -> int:
    """Positions of all rows in their groups, each padded to the longest of its group."""
    return sum(len(rows) * lengths[rows[-1]] for rows in length_groups(lengths, most))
