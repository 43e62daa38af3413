"""A page that is one file: its pictures and its style are in it, and a policy in its head forbids it to load anything.

It has no script. Texts from data sets and models are escaped by whoever makes a part (`vista.reporting.tables.escape`).
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from vista.reporting.tables import escape

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
STYLE = """
:root { color-scheme: light dark; --line: #8885; --soft: #8881; --good: #0072b2 }
body { font: 15px/1.5 system-ui, sans-serif; margin: 0 auto; padding: 1em; max-width: 75em }
h1, h2, h3 { line-height: 1.2 } h2 { border-top: 2px solid var(--line); padding-top: .8em; margin-top: 2em }
nav a { margin-right: 1em } .note { font-size: .87em; opacity: .8; margin: .3em 0 1em }
.wide { overflow-x: auto; margin: 1em 0 .3em } table { border-collapse: collapse; font-size: .9em }
caption { text-align: left; font-weight: bold; padding: .2em 0 } th { text-align: left; background: var(--soft) }
th, td { padding: .25em .7em; border-bottom: 1px solid var(--line); vertical-align: top } td.number { text-align: right;
font-variant-numeric: tabular-nums; white-space: nowrap } .cards, .charts { display: flex; flex-wrap: wrap; gap: 1em }
.card { width: 18em; border: 1px solid var(--line); padding: .6em; font-size: .85em; overflow-wrap: anywhere }
.card img { max-width: 100%; display: block } .card p { margin: .3em 0 } .charts svg { max-width: 100%; height: auto }
figure { margin: 0; max-width: 100% } figcaption { font-size: .87em }
svg text { font: 11px sans-serif; fill: currentColor }
svg .grid { stroke: currentColor; opacity: .25; fill: none } 
pre { overflow: auto; max-height: 30em; background: var(--soft); padding: .7em; font-size: .8em }
@media print { nav { display: none } }
"""


class Section(NamedTuple):
    """A part of the page with an entry in the list at its top.

    Attributes:
        title: as text.
        parts: HTML.
    """

    title: str
    parts: Sequence[str]


def document(title: str, notes: Iterable[str], sections: Sequence[Section]) -> str:
    """The page.

    Args:
        title: as text.
        notes: paragraphs below it, as text.
        sections: those without parts are left out.
    """
    shown = [section for section in sections if section.parts]
    links = "".join(f'<a href="#{_id(each)}">{escape(each.title)}</a>' for each in shown)
    body = "".join(map(_section, shown))
    head = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<link rel="icon" href="data:,">\n'  # else a browser asks for one
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n"
    )
    said = "".join(f"<p>{escape(note)}</p>\n" for note in notes)
    return f"{head}<body><h1>{escape(title)}</h1>\n{said}<nav>{links}</nav>\n{body}</body></html>\n"


def _section(section: Section) -> str:
    return f'<h2 id="{_id(section)}">{escape(section.title)}</h2>\n{"".join(section.parts)}'


def _id(section: Section) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in section.title.lower())


def folded(title: str, inside: str) -> str:
    """HTML behind a line that opens it."""
    return f"<details><summary>{escape(title)}</summary>{inside}</details>\n"


def figure(svg: str, caption: str) -> str:
    """A chart with its caption, a text."""
    return f"<figure>{svg}<figcaption>{escape(caption)}</figcaption></figure>\n"
