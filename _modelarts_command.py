"""The console command ``modelarts``.

Images of ModelArts notebooks put a folder with another ``modelarts``, the built-in SDK, before
site-packages. This module has a name of its own, and makes its process import the package that lies
beside it.
"""

import os
import sys

__all__ = ["main"]


def main() -> int:
    """Run the command of the package beside this module."""
    here = os.path.dirname(os.path.abspath(__file__))
    if sys.path[:1] != [here]:
        sys.path.insert(0, here)
    from modelarts.cli import main as command

    return command()
