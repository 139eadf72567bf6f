"""The documented parent of ``moxing.framework.file``."""

from . import file

__all__ = ["file"]
