"""The packages of an environment, at their documented import path."""

import re
from typing import Iterable, Optional, Tuple

import attr

from modelarts.errors import InvalidArgument

__all__ = ["CondaDependencies"]

_PYTHON = r"python\s*={1,2}\s*([0-9]+\.[0-9]+)(\.[0-9]+|\.\*)?\Z"
_INDEX = r"(https?|file)://\S+\Z"
_PASSWORD = r"(://)[^/@\s]+@"
_MAX_LENGTH = 1024


def _shown(packages: Tuple[str, ...]) -> str:
    return repr(tuple(re.sub(_PASSWORD, r"\1****@", package) for package in packages))


@attr.s(frozen=True, auto_attribs=True)
class CondaDependencies:
    """The packages of an :class:`~modelarts.environment.Environment`; see :meth:`create`.

    Attributes:
        channels: the addresses of package indexes; not shown, since they may hold passwords.
        pip_packages: the requirements.
        python: the version of Python, such as ``"3.10"``; None for the one that runs this.

    Source: *ModelArts SDK Reference*, "Debugging a Training Job".
    """

    channels: Tuple[str, ...] = attr.ib(default=(), repr=False)
    pip_packages: Tuple[str, ...] = attr.ib(default=(), repr=_shown)
    python: Optional[str] = None

    @classmethod
    def create(
        cls,
        channels: Optional[Iterable[str]] = None,
        pip_packages: Optional[Iterable[str]] = None,
        conda_packages: Optional[Iterable[str]] = None,
    ) -> "CondaDependencies":
        """Return the dependencies of an environment.

        Args:
            channels: the addresses of package indexes, ``https://…``; by default those that pip is
                configured with. Names of conda's channels are not taken, as packages come by pip.
            pip_packages: requirements as pip takes them, such as ``"torch==2.4.0"``; by default
                none.
            conda_packages: at most the version of Python, ``"python=3.10"``, of which this machine
                must have an interpreter; by default the version that runs this. The third number
                of a version is not looked at.

        Returns:
            The dependencies.

        Raises:
            InvalidArgument: a value is wrong, or something that only conda could install.

        Source: *ModelArts SDK Reference*, "Debugging a Training Job".

        Example:
            >>> CondaDependencies.create(pip_packages=["requests"], conda_packages=["python=3.10"])
            CondaDependencies(pip_packages=('requests',), python='3.10')
        """
        python = None
        for package in _texts("conda_packages", conda_packages):
            match = re.match(_PYTHON, package)
            if match is None or python is not None:
                raise InvalidArgument(
                    "conda_packages",
                    package,
                    "at most one version of Python, as 'python=3.10'; all else as pip_packages",
                )
            python = match.group(1)
        indexes = _texts("channels", channels)
        for index in indexes:
            if not re.match(_INDEX, index):
                raise InvalidArgument(
                    "channels",
                    index,
                    "addresses of package indexes, https://…, since pip installs the packages",
                    secret="@" in index,
                )
        return cls(indexes, _texts("pip_packages", pip_packages), python)


def _texts(argument: str, values: Optional[Iterable[str]]) -> Tuple[str, ...]:
    if values is None:
        return ()
    allowed = "a list of texts, such as ['requests']"
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise InvalidArgument(argument, values, allowed)
    texts = tuple(values)
    for text in texts:
        # A text that begins with a hyphen is an option to pip.
        if (
            not isinstance(text, str)
            or not 0 < len(text.strip()) <= _MAX_LENGTH
            or text.lstrip().startswith("-")
            or not text.isprintable()
        ):
            secret = isinstance(text, str) and "@" in text
            raise InvalidArgument(argument, text, allowed + ", each without '-' before", secret)
    return tuple(text.strip() for text in texts)
