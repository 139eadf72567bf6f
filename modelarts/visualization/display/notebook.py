"""Output in a notebook's cell, a terminal, or a browser."""

import shutil
import sys
from html import escape
from typing import Any, Optional, TextIO, Union

#: Browsers of a terminal: they cannot show a board, and a notebook's user could not end them.
_TEXT_BROWSERS = ("www-browser", "links", "elinks", "lynx", "w3m")


def in_notebook() -> bool:
    """Return True in the kernel of a notebook."""
    # A kernel has imported IPython already.
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None) is not None


def publish(html: str, text: str) -> None:
    """Show HTML below the cell; the text if only text can be shown."""
    from IPython.display import display

    display({"text/html": html, "text/plain": text}, raw=True)


def browse(address: str) -> bool:
    """Open an address in a browser of this machine; return False if there is none."""
    import webbrowser

    if not address.startswith(
        ("http", "file:")
    ):  # a path on a server that only its visitor can name
        return False
    try:
        browser = webbrowser.get()
        if getattr(browser, "name", "") in _TEXT_BROWSERS:
            return False
        return browser.open(address)
    except (webbrowser.Error, OSError):
        return False


class NotebookLine:
    """An output of a cell that can be updated."""

    def __init__(self) -> None:
        self._handle: Any = None

    def say(self, text: str) -> None:
        """Show this text from now on."""
        data = {"text/plain": text, "text/html": "<div>%s</div>" % escape(text)}
        if self._handle is None:
            from IPython.display import display

            self._handle = display(data, raw=True, display_id=True)
        else:
            self._handle.update(data, raw=True)

    def end(self, text: str) -> None:
        """Show this text for good."""
        self.say(text)


class TerminalLine:
    """A line of a terminal that can be overwritten."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._width = 0

    def say(self, text: str) -> None:
        """Show this text from now on."""
        text = text[: shutil.get_terminal_size().columns - 1]
        # Spaces over what was longer before: not every terminal can erase.
        self._stream.write("\r" + text.ljust(self._width))
        self._stream.flush()
        self._width = len(text)

    def end(self, text: str) -> None:
        """Show this text for good."""
        self.say(text)
        self._stream.write("\n")
        self._stream.flush()


Line = Union[NotebookLine, TerminalLine]


def live_line() -> Optional[Line]:
    """Return a line that can be changed; None without a terminal or notebook."""
    if in_notebook():
        return NotebookLine()
    stream = sys.stderr
    return TerminalLine(stream) if stream is not None and stream.isatty() else None
