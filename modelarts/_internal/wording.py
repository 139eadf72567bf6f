"""Texts of errors in two wordings: for programs, and for the command line."""

from __future__ import annotations

from typing import Any, Tuple


class Worded(str):
    """A text that names arguments and methods, with its wording for the command line.

    Attributes:
        command: the same text, naming options and commands.
    """

    command: str

    def __new__(cls, text: str, command: str) -> Worded:
        self = super().__new__(cls, text)
        self.command = command
        return self

    def __reduce__(self) -> Tuple[Any, ...]:
        return Worded, (str(self), self.command)


def worded(template: str, *values: object) -> str:
    """Return ``template % values``, in both wordings if one of the values has two."""
    text = template % values
    command = template % tuple(map(command_of, values))
    return text if command == text else Worded(text, command)


def command_of(value: object) -> object:
    """Return the wording of a text, or of an error's text, for the command line."""
    if isinstance(value, BaseException) and value.args and isinstance(value.args[0], Worded):
        value = value.args[0]
    return value.command if isinstance(value, Worded) else value
