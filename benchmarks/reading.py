"""How hard the code is to read: what one sample passes on its way, and what stands on a line.

    python -m benchmarks.reading            ends with one JSON line
    python -m benchmarks.reading --files    a line for each file first, the hardest to read on top

Counted over the product (vista, tasks, datamodules, callbacks, main.py). A code line holds code: no blank line, no
comment, no docstring.
"""

import argparse
import ast
import io
import json
import re
import tokenize
from dataclasses import astuple, dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
HOUSES = ("vista", "tasks", "datamodules", "callbacks")
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def product_files() -> list[Path]:
    """Python files of the product."""
    files = [file for house in HOUSES for file in (ROOT / house).rglob("*.py")]
    return sorted([ROOT / "main.py", *files])


def docstring_lines(tree: ast.AST) -> set[int]:
    """Numbers of the lines that docstrings take."""
    lines: set[int] = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if ast.get_docstring(node, clean=False) is None:
            continue
        first = node.body[0]
        lines |= set(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    return lines


def lines_of(text: str, tree: ast.AST) -> tuple[int, int]:
    """How many lines hold code, and how many hold a comment."""
    code, comments = set[int](), set[int]()
    silent = (tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            comments.add(token.start[0])
        elif token.type not in silent:
            code |= set(range(token.start[0], token.end[0] + 1))
    return len(code - docstring_lines(tree)), len(comments - code)


def nested_comprehensions(tree: ast.AST) -> int:
    """Comprehensions inside another one; a second `for` in one counts as well."""
    nested = 0
    for outer in ast.walk(tree):
        if isinstance(outer, COMPREHENSIONS):
            nested += len(outer.generators) > 1
            nested += sum(isinstance(inner, COMPREHENSIONS) for inner in ast.walk(outer)) - 1
    return nested


def syntax_nodes(tree: ast.AST) -> int:
    """Statements and expressions; what only joins them (operators, argument lists, contexts) is left out."""
    return sum(isinstance(node, ast.stmt | ast.expr | ast.excepthandler) for node in ast.walk(tree))


@dataclass(frozen=True)
class Figures:
    """What was counted in one file, or in all of them."""

    code_lines: int
    comment_lines: int
    comprehensions: int
    nested_comprehensions: int
    any_words: int
    nodes: int

    @property
    def nodes_per_line(self) -> float:
        """Syntax nodes per code line."""
        return self.nodes / max(1, self.code_lines)

    def __add__(self, other: "Figures") -> "Figures":
        """The figures of two files together."""
        pairs = zip(astuple(self), astuple(other), strict=True)
        return Figures(*(mine + theirs for mine, theirs in pairs))


def figures_of(text: str) -> Figures:
    """The figures of one file's text."""
    tree = ast.parse(text)
    code_lines, comment_lines = lines_of(text, tree)
    return Figures(
        code_lines,
        comment_lines,
        comprehensions=sum(isinstance(node, COMPREHENSIONS) for node in ast.walk(tree)),
        nested_comprehensions=nested_comprehensions(tree),
        any_words=len(re.findall(r"\bAny\b", text)),
        nodes=syntax_nodes(tree),
    )


def figures_by_file() -> dict[Path, Figures]:
    """The figures of each file of the product."""
    return {file: figures_of(file.read_text()) for file in product_files()}


def measure() -> dict[str, float]:
    """All figures over the product."""
    by_file = figures_by_file()
    total = sum(by_file.values(), start=Figures(0, 0, 0, 0, 0, 0))
    per_1000 = 1000 / total.code_lines
    return {
        "files": len(by_file),
        "code_lines": total.code_lines,
        "comment_lines": total.comment_lines,
        "comprehensions_per_1000": round(total.comprehensions * per_1000, 1),
        "nested_comprehensions": total.nested_comprehensions,
        "any_per_1000": round(total.any_words * per_1000, 1),
        "nodes_per_line": round(total.nodes_per_line, 2),
    }


def print_files() -> None:
    """One line for each file, the hardest to read first."""

    def hardness(item: tuple[Path, Figures]) -> tuple[int, float, int]:
        figures = item[1]
        return figures.nested_comprehensions, figures.nodes_per_line, figures.any_words

    print("nested  nodes/line  Any  code  comments  file")
    for file, figures in sorted(figures_by_file().items(), key=hardness, reverse=True):
        print(
            f"{figures.nested_comprehensions:6}  {figures.nodes_per_line:10.2f}  {figures.any_words:3}"
            f"  {figures.code_lines:4}  {figures.comment_lines:8}  {file.relative_to(ROOT)}"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        "benchmarks.reading", description="How hard the code is to read."
    )
    parser.add_argument("--files", action="store_true", help="a line for each file first")
    if parser.parse_args().files:
        print_files()
    print(json.dumps(measure()))
