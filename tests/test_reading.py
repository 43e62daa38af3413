"""The code is easy to read, as far as that can be counted; `python -m benchmarks.reading --files` names files."""

import pytest

from benchmarks.reading import Figures, figures_of, measure


@pytest.fixture(scope="module")
def product() -> dict[str, float]:
    return measure()


def test_no_comprehension_stands_in_another(product: dict[str, float]) -> None:
    assert product["nested_comprehensions"] == 0


def test_few_types_are_any(product: dict[str, float]) -> None:
    assert product["any_per_1000"] <= 10


def test_lines_are_not_dense(product: dict[str, float]) -> None:
    assert product["nodes_per_line"] <= 6.0


def test_figures_of_a_file_that_was_counted_by_hand() -> None:
    text = '''"""A docstring is no code."""

# Why it is so.
pairs = [(a, b) for a in "xy" for b in "z"]
rows = [[x for x in row] for row in pairs]


def identity(value: Any) -> Any:
    """Two lines
    of a docstring."""
    return value  # a comment beside code is none of its own
'''
    figures = figures_of(text)
    assert figures.code_lines == 4
    assert figures.comment_lines == 1
    assert figures.comprehensions == 3
    assert figures.nested_comprehensions == 2
    assert figures.any_words == 2
    # 10 and 9 of the assignments, 7 of the function, 2 of the first docstring.
    assert figures.nodes == 28


def test_figures_add_up() -> None:
    one = Figures(10, 1, 2, 0, 1, 60)
    assert (one + one).nodes_per_line == one.nodes_per_line == 6.0
    assert one + one == Figures(20, 2, 4, 0, 2, 120)
