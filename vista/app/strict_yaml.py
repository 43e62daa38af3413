"""YAML as every part of the command line reads it: by the safe loader, and no key twice in one mapping.

trainer:
  max_epochs: 1
  max_epochs: 2         # 'max_epochs' stands twice, in lines 2 and 3
"""

from pathlib import Path
from typing import Any

import yaml

from vista.data import InputError


class StrictLoader(yaml.SafeLoader):
    """The safe loader; of two values of one key it would take the later one without a word."""

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
        InputError: a key stands twice.
        YAMLError: it is no YAML.
    """
    return yaml.load(text, StrictLoader)


def refuse_twice(text: str) -> None:
    """Complain of a key that stands twice; of nothing else.

    Raises:
        InputError: a key stands twice.
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
