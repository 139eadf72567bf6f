"""Texts in a terminal: their width in columns, and the characters that it can encode."""

import unicodedata
from typing import Optional, TextIO


def text_width(text: str) -> int:
    """Return how many columns of a terminal a text takes: two for each Chinese character."""
    if text.isascii():
        return len(text)
    return sum(
        0
        if unicodedata.combining(character)
        else 2
        if unicodedata.east_asian_width(character) in "WF"
        else 1
        for character in text
    )


def writable(text: str, stream: Optional[TextIO]) -> str:
    """Return the text in the characters that a stream can encode; the others escaped."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        text = text.replace("…", "...").encode(encoding, "backslashreplace").decode(encoding)
    return text
