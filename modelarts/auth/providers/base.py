"""What a place that credentials may come from has to offer.

A provider has a name and a method ``load`` that is given its surroundings. It answers what it
found, or raises :class:`NotHere` with the reason; what is there but broken or half there is an
error, because falling through to the next place would use an identity that nobody expects.
"""

import os
from pathlib import Path
from typing import Any, Callable, Mapping, Optional, Tuple

import attr

from modelarts._internal.clock import Clock
from modelarts.auth.credentials import Found, NotHere
from modelarts.errors import ConfigurationError

__all__ = ["NotHere", "Provider", "Surroundings", "both_or_neither"]


@attr.s(frozen=True, slots=True, auto_attribs=True, kw_only=True)
class Surroundings:
    """What a provider may look at.

    Attributes:
        environ: the environment variables.
        home: the user's home.
        directory: the working directory; None where it was deleted.
        config_file: the configuration file that was asked for, or None.
        clock: what tells the time.
    """

    environ: Mapping[str, str] = attr.ib(repr=False)  # it may hold secrets
    home: Path
    directory: Optional[Path]
    clock: Clock
    config_file: Optional[str] = None

    @classmethod
    def of_this_process(cls, config_file: Optional[str], clock: Clock) -> "Surroundings":
        """Those of this process, as they are now."""
        return cls(
            environ=dict(os.environ),
            home=Path(os.path.expanduser("~")),
            directory=_working_directory(),
            config_file=config_file,
            clock=clock,
        )


def _working_directory() -> Optional[Path]:
    try:
        return Path.cwd()
    except OSError:
        return None


class Provider:
    """One place to look at.

    >>> from modelarts.auth import AccessKey, Found, NotHere, Provider
    >>> from modelarts.auth import add_provider, remove_provider
    >>> class FromMyPlatform(Provider):
    ...     name = "my platform"
    ...     def load(self, surroundings):
    ...         path = surroundings.environ.get("MY_PLATFORM_KEYS")
    ...         if path is None:
    ...             raise NotHere("MY_PLATFORM_KEYS is not set")
    ...         access_key, secret_key = open(path).read().split()
    ...         return Found(credentials=AccessKey(access_key, secret_key), source=self.name)
    >>> add_provider(FromMyPlatform())
    >>> remove_provider("my platform")
    """

    #: Said in errors and by ``modelarts whoami``.
    name = ""

    def load(self, surroundings: Surroundings) -> Found:
        """What is found.

        Raises:
            NotHere: nothing is.
            ConfigurationError: something is, and it cannot be used.
        """
        raise NotHere("it offers nothing")


def both_or_neither(names: Tuple[str, str], get: Callable[[str], Any], where: str = "") -> bool:
    """Whether two values that belong together are there.

    Raises:
        ConfigurationError: one is and the other is not.
    """
    first, second = (bool(get(name)) for name in names)
    if first != second:
        there, missing = names if first else names[::-1]
        problem = "%s is there and %s is not; give both or neither" % (there, missing)
        raise ConfigurationError("%s: %s" % (where, problem) if where else problem)
    return first
