"""Large modules that few tests use, imported when one of these runs.

All processes of pytest-xdist import all test modules.
"""

from importlib import import_module

__all__ = ["Lazy"]


class Lazy:
    """A module that is imported when its first name is asked for.

    Args:
        name: its full name.
    """

    def __init__(self, name):
        self._name = name

    def __getattr__(self, attribute):
        if attribute.startswith("_") or attribute == "pytestmark":
            # pytest looks for these in all objects of a module when it collects the tests.
            raise AttributeError(attribute)
        return getattr(import_module(self._name), attribute)
