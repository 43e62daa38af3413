"""Tables of a report: three forms, each with one metric, and the paper's numbers beside official benchmarks only."""

import re

import pytest

from vista.reporting.paper import HEADLINES, PUBLISHED, RADAR
from vista.reporting.radars import own_radar, paper_radar
from vista.reporting.scores import RunScores, Scored, prompt_table, score_tables
from vista.reporting.tables import Table, to_html, to_latex, to_markdown, without_empty

TASKS = ("rec", "res", "gres", "caption", "pqa", "coseg")
WORLD = RunScores(
    "tiny",
    {
        ("res_refcoco_val", "mIoU"): Scored(61.25, (57.0, 65.0), 40.2, "a guess", 256, 3),
        ("res_refcoco_val_unseen_wording", "mIoU"): Scored(50.0, n=64),
    },
    {("res_refcoco_val", "oIoU"): 64.5},
)
OFFICIAL = RunScores(
    "7B", {("res_refcoco_val", "mIoU"): Scored(74.0)}, official={"res_refcoco_val"}
)


def test_each_form_escapes_what_comes_from_outside():
    table = Table("a_b", ["<b>", "n"], [["x | y & \\z\x1b", "1.5"]], ["50 %"])
    assert "<td>x | y &amp; \\z\\x1b</td><td class=number>1.5</td>" in to_html(table)
    assert "&lt;b&gt;" in to_html(table)
    assert "| x \\| y & \\\\z\\\\x1b | 1.5 |" in to_markdown(table)
    latex = to_latex(table)
    assert r"x | y \& \textbackslash{}z\textbackslash{}x1b & 1.5 \\" in latex
    assert r"\caption{a\_b}" in latex and r"50 \%" in latex


def test_columns_without_a_cell_are_left_out():
    table = Table("t", ["a", "b", "c"], [["", "", "1"], ["", "", ""]])
    assert without_empty(table) == Table("t", ["a", "c"], [["", "1"], ["", ""]])


def test_the_world_is_never_beside_the_paper():
    measured, others = score_tables([WORLD, OFFICIAL], TASKS)
    titles = [table.title for table in measured]
    assert titles == ["res: mIoU", "res: oIoU"]
    rows = {row[0]: row[1:6] for row in measured[0].rows}
    assert rows["res_refcoco_val (generated world)"] == ["", "", "", "61.2 [57.0, 65.0]", ""]
    assert rows["res_refcoco_val"] == ["Table 3b", "74.5", "77.2", "", "74.0"]
    assert "res_refcoco_val_unseen_wording" not in rows
    assert "rec: pr50" in [table.title for table in others]


def test_a_table_has_one_metric_and_every_published_score_stands_in_one():
    tables = [table for some in score_tables([WORLD], TASKS) for table in some]
    assert len({table.title for table in tables}) == len(tables)
    cells = [(row[0], table.title.partition(": ")[2]) for table in tables for row in table.rows]
    assert set(PUBLISHED) <= set(cells)


def test_figures_of_the_paper():
    """Some of each table, typed again from the paper; 7B stands in Tables 2 to 4 alone."""
    assert HEADLINES["rec_refcocop_testA", "pr50"] == ("Table 3a", 89.8, 90.3)
    assert HEADLINES["res_refcocog_test", "mIoU"] == ("Table 3b", 70.9, 71.9)
    assert PUBLISHED["gres_val", "n_acc"] == ("Table 4", 68.8, 70.0)
    assert PUBLISHED["coseg_msrc", "P"] == ("Table 7", None, 98.5)
    small = {each.table for each in PUBLISHED.values() if each.small is not None}
    assert small == {"Table 2", "Table 3a", "Table 3b", "Table 4"}
    assert all(each.small < each.large for each in PUBLISHED.values() if each.small is not None)


def test_radar_has_the_origins_of_appendix_a():
    spokes, shapes = paper_radar([WORLD, OFFICIAL])
    origins = {spoke.title: round(spoke.origin / spoke.rim, 6) for spoke in spokes}
    assert {title: share for title, share in origins.items() if share != 0.92} == {
        "COCO Cap": 0.75, "REC": 0.96, "PointQA": 0.97,
    }  # fmt: skip
    assert len(origins) == len(RADAR) == 14
    assert [name for name, _ in shapes] == ["VistaLLM-13B (paper)", "VistaLLM-7B (paper)", "7B"]


def test_own_radar_holds_the_baseline():
    spokes, shapes = own_radar([WORLD])
    assert [spoke.title for spoke in spokes] == ["res_refcoco_val mIoU"]
    assert shapes == [("baseline", [40.2]), ("tiny", [61.25])]


def test_prompts_side_by_side():
    assert prompt_table([WORLD]).rows == [
        ["tiny", "res_refcoco_val", "mIoU", "61.2 [57.0, 65.0]", "256", "50.0", "64"]
    ]


@pytest.mark.parametrize("form", [to_html, to_markdown, to_latex])
def test_a_table_without_rows_is_written(form):
    assert re.search("nothing", form(Table("nothing", ["a"], [])))
