"""Rows of about one length go together, at the least padding there is."""

from itertools import combinations, pairwise

from hypothesis import given
from hypothesis import strategies as st

from vista.models.vistallm import length_groups


def padded(lengths: list[int], groups: list[list[int]]) -> int:
    return sum(len(group) * max(lengths[row] for row in group) for group in groups)


@given(st.lists(st.integers(1, 30), min_size=1, max_size=9), st.integers(1, 4))
def test_every_row_once_and_no_cut_is_better(lengths, most):
    groups = length_groups(lengths, most)
    assert sorted(row for group in groups for row in group) == list(range(len(lengths)))
    assert len(groups) == min(most, len(lengths)) and all(groups)
    tall = sorted(lengths)
    cuts = [(0, *inner, len(tall)) for inner in combinations(range(1, len(tall)), len(groups) - 1)]
    best = min(sum((b - a) * tall[b - 1] for a, b in pairwise(cut)) for cut in cuts)
    assert padded(lengths, groups) == best
    assert [lengths[group[-1]] for group in groups] == [
        max(lengths[row] for row in group) for group in groups
    ]
