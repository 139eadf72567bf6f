"""The interface of a credential provider.

A provider has a name and a method ``load``, which takes the environment and the clock as an
argument. It returns the credentials, or raises :class:`CredentialsUnavailable` with the reason.
Credentials that are incomplete or damaged are an error: the next source could be another identity
than the one that the user expects.
"""

import os
from pathlib import Path
from typing import Any, Callable, Mapping, Optional, Tuple

import attr

from modelarts._internal.clock import Clock
from modelarts.auth.credentials import CredentialSet, CredentialsUnavailable
from modelarts.errors import ConfigurationError

__all__ = ["CredentialsUnavailable", "Provider", "ProviderContext", "both_or_neither"]


@attr.s(frozen=True, slots=True, auto_attribs=True, kw_only=True)
class ProviderContext:
    """The environment, files and clock that a provider may use.

    Attributes:
        environ: the environment variables.
        home: the user's home.
        directory: the working directory; None if it was deleted.
        clock: the source of time.
        config_file: the path of the configuration file that was requested; or None.
    """

    environ: Mapping[str, str] = attr.ib(repr=False)  # it may hold secrets
    home: Path
    directory: Optional[Path]
    clock: Clock
    config_file: Optional[str] = None

    @classmethod
    def of_this_process(cls, config_file: Optional[str], clock: Clock) -> "ProviderContext":
        """Return the environment and directories of this process, as they are now.

        Args:
            config_file: the path of the configuration file that was requested; or None.
            clock: the source of time.

        Returns:
            The argument of :meth:`Provider.load`.
        """
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
    """One source of credentials.

    Derive a class from it, or use any object that has a name and a method ``load``.

    Example:
        >>> from modelarts.auth import AccessKey, CredentialSet, CredentialsUnavailable, Provider
        >>> from modelarts.auth import add_provider, remove_provider
        >>> class FromMyPlatform(Provider):
        ...     name = "my platform"
        ...     def load(self, context):
        ...         path = context.environ.get("MY_PLATFORM_KEYS")
        ...         if path is None:
        ...             raise CredentialsUnavailable("MY_PLATFORM_KEYS is not set")
        ...         keys = AccessKey(*open(path).read().split())
        ...         return CredentialSet(credentials=keys, source=self.name)
        >>> add_provider(FromMyPlatform())
        >>> remove_provider("my platform")
    """

    #: The name of the source, for errors and ``modelarts whoami``.
    name = ""

    def load(self, context: ProviderContext) -> CredentialSet:
        """Return the credentials of this source.

        Args:
            context: the environment, files and clock to use.

        Returns:
            The credentials, and other settings of this source.

        Raises:
            CredentialsUnavailable: the source has no credentials; the message gives the reason.
            ConfigurationError: the source has credentials that cannot be used.
        """
        raise CredentialsUnavailable("it has no credentials")


def both_or_neither(names: Tuple[str, str], get: Callable[[str], Any], where: str = "") -> bool:
    """Return True if both of two values are set, False if neither is.

    Raises:
        ConfigurationError: only one of the two is set.
    """
    first, second = (bool(get(name)) for name in names)
    if first != second:
        present, missing = names if first else names[::-1]
        problem = "%s is set and %s is not; set both or neither" % (present, missing)
        raise ConfigurationError("%s: %s" % (where, problem) if where else problem)
    return first
