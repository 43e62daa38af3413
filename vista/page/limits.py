"""How much one person may ask for, so that others get their answers too."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Limits of the page.

    Attributes:
        upload: bytes of a file.
        pixels: of a picture, as its header says.
        images: pictures of a question.
        kept: pictures that are kept for all people; the oldest are forgotten.
        rows: answers in the making at a time; others wait.
        queue: questions that may wait.
        seconds: for an answer, waiting included.
        words: characters of a question.
        regions: drawn by hand, of a question.
        points: of a region.
        turns: of a conversation.
        body: bytes of any other request.
    """

    upload: int = 20_000_000
    pixels: int = 50_000_000
    images: int = 8
    kept: int = 256
    rows: int = 16
    queue: int = 32
    seconds: float = 60.0
    words: int = 2000
    regions: int = 8
    points: int = 2000
    turns: int = 16
    body: int = 1_000_000
