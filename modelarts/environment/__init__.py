"""The Python environment of a training on this machine, at its documented import path."""

import re
from typing import Any, Optional

import attr

from modelarts.environment.conda_env import CondaDependencies
from modelarts.errors import InvalidArgument

__all__ = ["Environment"]

_NAME = r"[0-9A-Za-z][0-9A-Za-z_.-]{0,63}\Z"


def _check_name(environment: "Environment", attribute: Any, value: Any) -> None:
    if not isinstance(value, str) or not re.match(_NAME, value):
        raise InvalidArgument(
            "name", value, "1 to 64 letters, digits, '_', '.' or '-', a letter or digit first"
        )


def _check_conda(environment: "Environment", attribute: Any, value: Any) -> None:
    if value is not None and not isinstance(value, CondaDependencies):
        raise InvalidArgument("conda", value, "a CondaDependencies, or None")


@attr.s(auto_attribs=True, on_setattr=attr.setters.validate)
class Environment:
    """The environment that an Estimator of V1 with ``train_instance_type="local"`` runs in.

    It is a virtual environment of Python with packages that pip installs, whatever its name says of
    conda. The first training makes it, below ``$XDG_CACHE_HOME/modelarts/environments``
    (``~/.cache/…``); later ones with the same name and dependencies use it again.

    Args:
        name: 1 to 64 letters, digits, ``_``, ``.`` or ``-``; the folder is named after it.
        conda: its packages; by default none, and the training runs with the Python that runs this.

    Raises:
        InvalidArgument: a value is wrong; also when ``conda`` is assigned.

    Source: *ModelArts SDK Reference*, "Debugging a Training Job".

    Example:
        >>> environment = Environment("mnist")
        >>> environment.conda = CondaDependencies.create(pip_packages=["requests"])
        >>> environment.conda.pip_packages
        ('requests',)
    """

    name: str = attr.ib(validator=_check_name)
    conda: Optional[CondaDependencies] = attr.ib(default=None, validator=_check_conda)
