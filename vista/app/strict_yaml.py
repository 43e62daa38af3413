"""YAML as every part of the command line reads it: by the safe loader, no key twice in one mapping, and not too deep.

trainer:
  max_epochs: 1
  max_epochs: 2         # 'max_epochs' stands twice, in lines 2 and 3
"""

from itertools import chain
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from vista.data import InputError

Settings: TypeAlias = dict[str, Any]  # by group and name
DEEPEST = 32  # no setting lies half as deep
LARGEST = 100_000  # values, those that stand for others counted as often as they are meant


class StrictLoader(yaml.SafeLoader):
    """The safe loader; of two values of one key it would take the later one without a word."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.depth = 0
        self.extents: dict[yaml.Node, tuple[int, int]] = {}  # (levels, values) of what is read

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node:
        """A value with all that lies in it, which may be what another place has (`*name`).

        Raises:
            InputError: it lies too deep, is too large, or holds itself.
        """
        line = self.peek_event().start_mark.line + 1
        is_name = self.check_event(yaml.AliasEvent)
        self.depth += 1
        if self.depth > DEEPEST:
            raise InputError(f"line {line} lies more than {DEEPEST} levels deep")
        node: yaml.Node = super().compose_node(parent, index)  # type: ignore[assignment]
        self.depth -= 1
        if not is_name:
            self.extents[node] = self._extent(node, line)
        elif node not in self.extents:  # it is not read to its end
            raise InputError(f"line {line} holds itself")
        return node

    def _extent(self, node: yaml.Node, line: int) -> tuple[int, int]:
        """How many levels and how many values a value has."""
        inner = node.value if isinstance(node, yaml.CollectionNode) else []
        parts = list(chain.from_iterable(inner) if isinstance(node, yaml.MappingNode) else inner)
        levels = [self.extents[part][0] for part in parts]
        values = [self.extents[part][1] for part in parts]
        extent = 1 + max(levels, default=0), 1 + sum(values)
        if extent[0] > DEEPEST or extent[1] > LARGEST:
            raise InputError(f"line {line} has more than {DEEPEST} levels or {LARGEST:,} values")
        return extent

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """The keys and values of one mapping, before others are merged into it.

        Raises:
            InputError: a key stands twice.
        """
        node: yaml.MappingNode = super().compose_mapping_node(anchor)  # type: ignore[misc]
        lines: dict[tuple[str, str], int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            line = key.start_mark.line + 1
            name = (key.tag, key.value)
            if name in lines:
                first = lines[name]
                where = f"line {line}" if first == line else f"lines {first} and {line}"
                raise InputError(f"{key.value!r} stands twice, in {where}")
            lines[name] = line
        return node


def load_yaml(text: str) -> Any:
    """What a text says.

    Raises:
        InputError: a key stands twice, or it is too deep or too large.
        YAMLError: it is no YAML.
    """
    return yaml.load(text, StrictLoader)


def refuse_twice(text: str) -> None:
    """Complain of a key that stands twice, and of what is too deep or too large; of nothing else.

    Raises:
        InputError: there is such a thing.
        YAMLError: it is no YAML.
    """
    yaml.compose(text, StrictLoader)


def read_config(path: Path) -> dict[str, Any]:
    """The settings in a file; an empty one has none.

    Raises:
        InputError: it is not YAML, says something twice, or holds no settings.
    """
    try:
        content = load_yaml(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"the config {path} is not YAML: {reason}") from error
    except InputError as error:
        raise InputError(f"the config {path}: {error}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise InputError(f"the config {path} holds no settings but {type(content).__name__}")
    return content
