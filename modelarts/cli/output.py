"""What the commands print."""

import sys
from typing import Any, Dict

__all__ = ["show", "show_json"]


def show_json(content: Dict[str, Any]) -> None:
    """Print JSON."""
    import json

    print(json.dumps(content, indent=2))


def show(text: str) -> None:
    """Print, also where the terminal or the pipe takes fewer characters than we have."""
    encoding = sys.stdout.encoding or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        text = text.replace("…", "...").encode(encoding, "backslashreplace").decode(encoding)
    print(text)
