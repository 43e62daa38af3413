"""How hard the code is to read: what one sample passes on its way, and what stands on a line.

    python -m benchmarks.reading            ends with one JSON line

Counted over the product (vista, tasks, datamodules, callbacks, main.py). A code line holds code: no blank line, no
comment, no docstring.
"""

import ast
import io
import json
import re
import tokenize
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


def measure() -> dict[str, float]:
    """All figures over the product."""
    code = comments = comprehensions = nested = anys = nodes = 0
    for file in product_files():
        text = file.read_text()
        tree = ast.parse(text)
        code_lines, comment_lines = lines_of(text, tree)
        code, comments = code + code_lines, comments + comment_lines
        comprehensions += sum(isinstance(node, COMPREHENSIONS) for node in ast.walk(tree))
        nested += nested_comprehensions(tree)
        anys += len(re.findall(r"\bAny\b", text))
        nodes += syntax_nodes(tree)
    return {
        "files": len(product_files()),
        "code_lines": code,
        "comment_lines": comments,
        "comprehensions_per_1000": round(1000 * comprehensions / code, 1),
        "nested_comprehensions": nested,
        "any_per_1000": round(1000 * anys / code, 1),
        "nodes_per_line": round(nodes / code, 2),
    }


if __name__ == "__main__":
    print(json.dumps(measure()))
