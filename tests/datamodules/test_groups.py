"""Groups of annotations of one image: the same in files as in memory, made once, made anew when the table is."""

import os
import tracemalloc
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datamodules import groups
from datamodules.by_image import group_by_image, select
from datamodules.compiled import Annotations, compiled, write
from datamodules.groups import Groups, RowFile, opened, shared_images, windows
from vista.data import Annotation


class Origin:
    """An annotation of each image of a text; `a` is one."""

    def __init__(self, images: str) -> None:
        self.images = images
        self.problems: list[tuple[str, str]] = []
        self.watched: dict[str, Any] = {}

    def __iter__(self) -> Iterator[Annotation]:
        for k, image in enumerate(self.images):
            yield Annotation(id=str(k), images=(image,))


@pytest.fixture
def table(tmp_path: Path) -> Annotations:
    return compiled(tmp_path, "x", Origin("aabacbbbbbd"))


def rows(found: Groups) -> dict[int, list[list[int]]]:
    """Size -> groups of it."""
    return {
        size: of_size[np.arange(of_size.shape[0])].tolist()
        for size, of_size in found.by_size.items()
    }


def in_files(found: Groups) -> bool:
    return all(isinstance(of_size, RowFile) for of_size in found.by_size.values())


def test_groups_hold_annotations_of_the_same_images(table):
    found = shared_images(table, 4)
    assert rows(found) == {1: [[4], [10]], 2: [[8, 9]], 3: [[0, 1, 3]], 4: [[2, 5, 6, 7]]}
    assert in_files(found) and len(found) == 11
    assert rows(shared_images(table, 1)) == {1: [[k] for k in range(11)]}
    listed = shared_images(list(table), 4)
    assert rows(listed) == rows(found) and listed.checksum == found.checksum
    assert found.checksum != shared_images(table, 3).checksum


@given(st.text("abcde", max_size=40), st.integers(1, 5), st.data())
def test_tables_and_lists_are_grouped_alike(tmp_path_factory, images, most, data):
    table = compiled(tmp_path_factory.mktemp("compiled"), "x", Origin(images))
    chosen = data.draw(st.sets(st.integers(0, max(0, len(images) - 1)), max_size=len(images)))
    some = select(table, np.array(sorted(chosen), dtype=int))
    found, listed = shared_images(some, most), shared_images(list(some), most)
    assert rows(found) == rows(listed) and found.checksum == listed.checksum
    together = list(chain.from_iterable(rows(found).values()))
    assert sorted(together) == sorted(group.tolist() for group in group_by_image(some, most))
    for of_size in rows(found).values():
        assert [group[0] for group in of_size] == sorted(group[0] for group in of_size)


def test_a_choice_of_no_row_has_no_group(table):
    """And is not taken for the whole table, whose groups are there."""
    assert len(shared_images(table, 4)) == 11
    assert len(shared_images(table.select(np.arange(0)), 4)) == 0


def test_a_group_is_looked_for_among_neighbours(table, monkeypatch):
    monkeypatch.setattr(groups, "WINDOW", 4)
    assert rows(shared_images(table, 4)) == {
        1: [[2], [4], [10]], 2: [[8, 9]], 3: [[0, 1, 3], [5, 6, 7]],
    }  # fmt: skip


def test_groups_are_made_once(table, monkeypatch):
    first = rows(shared_images(table, 4))
    some = table.select(np.arange(5))
    of_some = rows(shared_images(some, 4))
    monkeypatch.setattr(groups, "write", None)
    again = Annotations(table.file)  # as another process opens it
    assert rows(shared_images(again, 4)) == first
    assert rows(shared_images(again.select(np.arange(5)), 4)) == of_some != first
    assert not list(table.file.parent.glob("*.part"))


def test_groups_of_another_table_are_not_taken_and_old_ones_are_removed(table):
    shared_images(table, 4)
    (old,) = table.file.parent.glob("*.groups")
    left = old.with_name(f"{old.name}.0123.part")  # of a process that was killed
    left.mkdir()
    opened_before = shared_images(table, 4)
    for folder in (old, left):
        os.utime(folder, (1, 1))
    write(table.file, Origin("ccccccccccc"))
    assert rows(shared_images(Annotations(table.file), 4))[4] == [[0, 1, 2, 3], [4, 5, 6, 7]]
    (new,) = table.file.parent.glob("*.groups*")
    assert new != old
    assert rows(opened_before)[4] == [[2, 5, 6, 7]]  # a run that is under way goes on


@pytest.mark.parametrize("damage", ["cut", "lost", "about"])
def test_damaged_files_are_made_anew(table, damage):
    whole = rows(shared_images(table, 4))
    (folder,) = table.file.parent.glob("*.groups")
    if damage == "cut":
        (folder / "3").write_bytes((folder / "3").read_bytes()[:-8])
    elif damage == "lost":
        (folder / "3").unlink()
    else:
        (folder / "about.json").write_text("{")
    found = shared_images(table, 4)
    assert rows(found) == whole and in_files(found)
    assert rows(opened(folder)) == whole


def test_where_nothing_can_be_written_groups_are_in_memory(table, monkeypatch):
    whole = shared_images(table, 4)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(groups, "write", full)
    found = shared_images(table.select(np.arange(11)[::-1].copy()), 4)
    assert not in_files(found) and len(found) == 11
    assert whole.checksum != found.checksum


def test_making_groups_takes_as_much_memory_for_many_as_for_few(tmp_path, monkeypatch):
    monkeypatch.setattr(groups, "WINDOW", 1000)
    peaks = []
    for length in (10_000, 300_000):
        tracemalloc.start()
        groups.write(
            tmp_path / f"{length}.groups",
            windows(length, lambda start, stop: np.arange(start, stop) // 3, 4),
        )
        found = opened(tmp_path / f"{length}.groups")
        assert len(found) == length and found.by_size[3][np.array([length // 4])].shape == (1, 3)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]
