"""What says who you are, and where it came from.

A credential is checked when it is made; its repr shows no secret, and it cannot be pickled.
"""

import re
from typing import Any, Callable, Mapping, Optional, Tuple, Union

import attr

from modelarts.errors import InvalidArgument

__all__ = ["AccessKey", "Credentials", "Found", "GivenToken", "Password", "to_seconds"]

_BLANK = re.compile(r"[\x00-\x20\x7f]|[^\x00-\x7f]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def _key(instance: Any, attribute: "attr.Attribute[Any]", value: object) -> None:
    # Keys go into headers: a line break that came along when one was copied
    # would surface as a signature error, or worse, as a second header.
    if not isinstance(value, str) or not value or _BLANK.search(value):
        raise InvalidArgument(
            attribute.name,
            value,
            "a text of printable ASCII characters without blanks or line breaks",
            secret=attribute.name != "access_key",
        )


def _optional_key(instance: Any, attribute: "attr.Attribute[Any]", value: object) -> None:
    if value is not None:
        _key(instance, attribute, value)


def _name(instance: Any, attribute: "attr.Attribute[Any]", value: object) -> None:
    if not isinstance(value, str) or not value or _CONTROL.search(value):
        raise InvalidArgument(
            attribute.name,
            value,
            "a text without line breaks",
            secret=attribute.name == "password",
        )


def _optional_name(instance: Any, attribute: "attr.Attribute[Any]", value: object) -> None:
    if value is not None:
        _name(instance, attribute, value)


class _Unpicklable:
    __slots__ = ()

    def __reduce__(self) -> Tuple[Any, ...]:
        raise TypeError("%s holds a secret and is not pickled" % type(self).__name__)


@attr.s(frozen=True, slots=True, auto_attribs=True)
class AccessKey(_Unpicklable):
    """An access key and its secret key (AK/SK); a security token with temporary ones.

    Attributes:
        expires_at: when temporary keys end, in seconds since the epoch; None for others.

    Raises:
        InvalidArgument: a key is empty, or has blanks or line breaks.
    """

    access_key: str = attr.ib(validator=_key)
    secret_key: str = attr.ib(validator=_key, repr=False)
    security_token: Optional[str] = attr.ib(default=None, validator=_optional_key, repr=False)
    expires_at: Optional[float] = attr.ib(default=None, kw_only=True)


@attr.s(frozen=True, slots=True, auto_attribs=True)
class Password(_Unpicklable):
    """A user's name and password, and the account (Keystone: domain) that the user is of.

    Attributes:
        account_id: the account's id; where it is given, the account's name is not used.

    Raises:
        InvalidArgument: one of them is empty or has line breaks.
    """

    username: str = attr.ib(validator=_name)
    password: str = attr.ib(validator=_name, repr=False)
    account: str = attr.ib(
        default=attr.Factory(lambda self: self.username, takes_self=True), validator=_name
    )
    account_id: Optional[str] = attr.ib(default=None, validator=_optional_name, kw_only=True)


@attr.s(frozen=True, slots=True, auto_attribs=True)
class GivenToken(_Unpicklable):
    """A token that somebody else fetched; it is used as it is, and cannot be renewed.

    Raises:
        InvalidArgument: it is empty, or has blanks or line breaks.
    """

    token: str = attr.ib(validator=_key, repr=False)


Credentials = Union[AccessKey, Password, GivenToken]


@attr.s(frozen=True, slots=True, auto_attribs=True, kw_only=True)
class Found:
    """What one source says: credentials, and what else it knows.

    Attributes:
        source: where it was found, in words: ``"environment HUAWEICLOUD_SDK_*"``.
        project_id: the project's id, if the source names it.
        project_name: or its name: the region's, or ``<region>_<name>`` of a sub-project.
        endpoints: ``modelarts``, ``iam`` and ``obs``, those that the source names.
        config_file: the file that was asked for by name, so that another process can find it.
        renew: answers fresh keys; called shortly before temporary ones expire.
    """

    credentials: Credentials
    source: str
    project_id: Optional[str] = None
    project_name: Optional[str] = None
    region_name: Optional[str] = None
    endpoints: Mapping[str, str] = attr.Factory(dict)
    config_file: Optional[str] = None
    renew: Optional[Callable[[], AccessKey]] = None


def to_seconds(text: Optional[str]) -> Optional[float]:
    """Seconds since the epoch of a time as IAM writes it, such as
    ``2020-01-04T09:05:22.701000Z``; None for none. Raises ValueError for anything else."""
    if text is None:
        return None
    from calendar import timegm
    from time import strptime

    return float(timegm(strptime(text[:19], "%Y-%m-%dT%H:%M:%S")))
