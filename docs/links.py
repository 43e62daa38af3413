"""A hook of mkdocs: what a page names outside of docs/ is a file of the clone, and no page of the site."""

import re

OUTSIDE = re.compile(r"\[([^\]]+)\]\(\.\./([^)]+)\)")


def on_page_markdown(markdown: str, **_: object) -> str:
    """`[the weights](../weights/README.md)` -> the weights (`weights/README.md`)."""
    return OUTSIDE.sub(r"\1 (`\2`)", markdown)
