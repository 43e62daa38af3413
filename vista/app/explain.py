"""What a parser complains of, in one sentence with the nearest right word."""

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches


def explain(error: Exception, known: Iterable[str]) -> str:
    """One sentence out of a parser's error, with the nearest setting there is.

    Args:
        error: of jsonargparse or of Lightning.
        known: all settings.
    """
    text = " ".join(str(error).split())
    if match := re.search(r"[Oo]ption '([\w.\-]+)'|[Uu]nrecognized arguments: --([\w.\-]+)", text):
        return _unknown_setting(match[1] or match[2], known)
    if match := re.search(r"[Uu]nrecognized arguments: (.+)", text):
        return f"{match[1]!r} is no setting; settings begin with --"
    keys = ".".join(re.findall(r'Parser key "([^"]+)"', text))
    if match := re.search(r"the following arguments are required: (.+)", text):
        return f"{keys or 'the command'} lacks {match[1]}"
    value = re.search(r"(?:Got|Given) value: (.*)$", text)
    wanted = re.findall(r"Expected an? (?!path )(.+?)(?= - |\. Got value| Given value|$)", text)
    if keys and value and wanted:
        return _wrong_value(keys, value[1], wanted)
    return text


def _unknown_setting(name: str, known: Iterable[str]) -> str:
    # A verb may lack a setting that another one has: what was typed is never the advice.
    others = [setting for setting in known if setting != name]
    close = get_close_matches(name, others, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return f"there is no setting {name!r}{hint}"


def _wrong_value(setting: str, value: str, wanted: Sequence[str]) -> str:
    """`data.replay is 'abc'; it must be float`."""
    choices: list[str] = []
    types: list[str] = []
    for text in wanted:
        if "Literal" in text:
            choices += re.findall(r"[^\[\], ']+", text.partition("[")[2])
        else:
            name = re.sub(r"<class '([\w.]*?)(\w+)'>", r"\2", text)
            types.append("null" if name == "NoneType" else name)
    allowed = " or ".join(dict.fromkeys([*choices, *types]))
    close = get_close_matches(value, choices, n=1)
    hint = f", did you mean {close[0]!r}?" if close else ""
    return f"{setting} is {value!r}; it must be {allowed}{hint}"
