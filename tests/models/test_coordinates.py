"""The coordinate rows start as sinusoids of their number, the other rows stay."""

import pytest
import torch

from vista.models.coordinates import coordinate_sinusoids, init_coordinates

IDS = [*range(40, 50), *range(100, 1090)]  # digits stand elsewhere than the coordinate tokens


def rows(seed: int, dim: int = 64) -> torch.Tensor:
    return 0.08 * torch.randn(1100, dim, generator=torch.Generator().manual_seed(seed))


def test_near_numbers_are_near_and_none_are_equal() -> None:
    table = torch.nn.functional.normalize(coordinate_sinusoids(1000, 64), dim=1)
    likeness = table @ table.T
    assert (likeness[500, 501] > likeness[500, 510]) and (likeness[500, 510] > likeness[500, 600])
    assert likeness.fill_diagonal_(0).max() < 0.9999


@pytest.mark.parametrize("dim", [1, 7, 64])
def test_shape(dim: int) -> None:
    assert coordinate_sinusoids(100, dim).shape == (100, dim)


@pytest.mark.parametrize("keep_digits", [True, False])
def test_rows_of_both_tables_are_set_to_the_norm_of_the_others(keep_digits: bool) -> None:
    table, head = rows(0), 3 * rows(1)
    old_table, old_head = table.clone(), head.clone()
    init_coordinates(table, head, IDS, keep_digits=keep_digits)
    changed = IDS[10:] if keep_digits else IDS
    others = [i for i in range(1100) if i not in set(changed)]
    for new, old in ((table, old_table), (head, old_head)):
        assert torch.equal(new[others], old[others])
        torch.testing.assert_close(
            new[changed].norm(dim=1), old[others].norm(dim=1).mean().expand(len(changed))
        )
    torch.testing.assert_close(
        table[IDS[500]] / table[IDS[500]].norm(), head[IDS[500]] / head[IDS[500]].norm()
    )


def test_tied_tables_are_set_once() -> None:
    table, tied = rows(0), rows(0)
    init_coordinates(table, None, IDS, keep_digits=False)
    init_coordinates(tied, tied, IDS, keep_digits=False)
    torch.testing.assert_close(table, tied)


def test_mean() -> None:
    table = rows(0)
    mean = table[[i for i in range(1100) if i not in set(IDS[10:])]].mean(dim=0)
    init_coordinates(table, None, IDS, coordinate_init="mean")
    torch.testing.assert_close(table[IDS[10:]], mean.expand(990, -1))


def test_parameters_and_half_precision() -> None:
    embedding = torch.nn.Embedding(1100, 64, dtype=torch.bfloat16)
    init_coordinates(embedding.weight, None, IDS)
    assert embedding.weight.requires_grad and embedding.weight.isfinite().all()


def test_unknown_init_is_refused() -> None:
    with pytest.raises(ValueError, match="coordinate_init is 'magic'"):
        init_coordinates(rows(0), None, IDS, coordinate_init="magic")  # type: ignore[arg-type]
