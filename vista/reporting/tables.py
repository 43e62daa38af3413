"""One table in three forms: HTML, Markdown and LaTeX. Cells are texts from anywhere, and are escaped in each.

table = Table("mIoU", ["score", "run"], [["res_refcoco_val", "61.3"]])
to_markdown(table)
"""

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import compress

from vista.printable import in_one_line

LATEX = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
}  # fmt: skip
NUMBER = re.compile(r"[-+]?[\d,.]+( \[.*\])?|")


@dataclass
class Table:
    """Rows of texts.

    Attributes:
        title: above it.
        head: of its columns.
        rows: as many cells each as there are columns.
        notes: sentences below it.
    """

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = field(default_factory=list)


def without_empty(table: Table, keep: int = 1) -> Table:
    """The table without columns that have no cell, but for the first `keep` ones."""
    columns = zip(*table.rows, strict=True) if table.rows else [()] * len(table.head)
    filled = [k < keep or any(column) for k, column in enumerate(columns)]
    rows = [list(compress(row, filled)) for row in table.rows]
    return Table(table.title, list(compress(table.head, filled)), rows, table.notes)


def escape(value: str) -> str:
    """A text from outside as HTML."""
    return html.escape(in_one_line(value))


def to_html(table: Table) -> str:
    """A table in a box that scrolls where the page is narrow."""
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in table.head)
    rows = "".join(map(_html_row, table.rows))
    notes = "".join(f"<p class=note>{escape(note)}</p>" for note in table.notes)
    body = f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody>"
    caption = f"<caption>{escape(table.title)}</caption>"
    return f"<div class=wide><table>{caption}{body}</table></div>{notes}\n"


def _html_row(row: Sequence[str]) -> str:
    kinds = [" class=number" if NUMBER.fullmatch(cell) else "" for cell in row]
    cells = [f"<td{kind}>{escape(cell)}</td>" for kind, cell in zip(kinds, row, strict=True)]
    return f"<tr>{''.join(cells)}</tr>"


def to_markdown(table: Table) -> str:
    """A table of GitHub's Markdown below a heading."""
    lines = [
        f"### {_markdown(table.title)}",
        "",
        _line(table.head),
        "| --- " * len(table.head) + "|",
    ]
    lines += [_line(row) for row in table.rows]
    notes = [f"\n{_markdown(note)}" for note in table.notes]
    return "\n".join([*lines, *notes]) + "\n"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(map(_markdown, cells))} |"


def _markdown(value: str) -> str:
    return re.sub(r"([\\|<>`*\[\]])", r"\\\1", in_one_line(value))


def to_latex(table: Table) -> str:
    """A table for the package `booktabs`."""
    columns = "l" + "r" * (len(table.head) - 1)
    lines = [
        r"\begin{table}",
        rf"\caption{{{_latex(table.title)}}}",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
    ]
    lines += [_latex_row(table.head), r"\midrule", *map(_latex_row, table.rows)]
    lines += [r"\bottomrule", r"\end{tabular}", *map(_latex, table.notes), r"\end{table}"]
    return "\n".join(lines) + "\n"


def _latex_row(cells: Sequence[str]) -> str:
    return " & ".join(map(_latex, cells)) + r" \\"


def _latex(value: str) -> str:
    escaped = (LATEX.get(letter, letter) for letter in in_one_line(value))
    return "".join(escaped)
