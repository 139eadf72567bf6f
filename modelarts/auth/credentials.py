"""What says who you are, and where it came from.

A credential is checked when it is made; its repr shows no secret, and it cannot be pickled.
"""

import re
from typing import Any, Callable, Mapping, Optional, Tuple, Union

from modelarts._internal.values import Value
from modelarts.errors import InvalidArgument

__all__ = [
    "AccessKey",
    "Credentials",
    "Found",
    "GivenToken",
    "NotHere",
    "Password",
    "to_seconds",
]

_BLANK = re.compile(r"[\x00-\x20\x7f]|[^\x00-\x7f]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class NotHere(Exception):
    """This place has nothing to say; the message says why."""


class _Secret(Value):
    __slots__ = ()

    def __reduce__(self) -> Tuple[Any, ...]:
        raise TypeError("%s holds a secret and is not pickled" % type(self).__name__)


class AccessKey(_Secret):
    """An access key and its secret key (AK/SK); a security token with temporary ones.

    Attributes:
        expires_at: when temporary keys end, in seconds since the epoch; None for others.

    Raises:
        InvalidArgument: a key is empty, or has blanks or line breaks.
    """

    __slots__ = ("access_key", "expires_at", "secret_key", "security_token")
    _hidden = frozenset(("secret_key", "security_token"))

    access_key: str
    secret_key: str
    security_token: Optional[str]
    expires_at: Optional[float]

    def __init__(
        self,
        access_key: str,
        secret_key: str,
        security_token: Optional[str] = None,
        *,
        expires_at: Optional[float] = None,
    ) -> None:
        self._set(
            access_key=_key("access_key", access_key, secret=False),
            secret_key=_key("secret_key", secret_key),
            security_token=(
                None if security_token is None else _key("security_token", security_token)
            ),
            expires_at=expires_at,
        )


class Password(_Secret):
    """A user's name and password, and the account (Keystone: domain) that the user is of.

    Attributes:
        account: by default the user's name.
        account_id: the account's id; where it is given, the account's name is not used.

    Raises:
        InvalidArgument: one of them is empty or has line breaks.
    """

    __slots__ = ("account", "account_id", "password", "username")
    _hidden = frozenset(("password",))

    username: str
    password: str
    account: str
    account_id: Optional[str]

    def __init__(
        self,
        username: str,
        password: str,
        account: Optional[str] = None,
        *,
        account_id: Optional[str] = None,
    ) -> None:
        self._set(
            username=_name("username", username),
            password=_name("password", password, secret=True),
            account=_name("account", username if account is None else account),
            account_id=None if account_id is None else _name("account_id", account_id),
        )


class GivenToken(_Secret):
    """A token that somebody else fetched; it is used as it is, and cannot be renewed.

    Raises:
        InvalidArgument: it is empty, or has blanks or line breaks.
    """

    __slots__ = ("token",)
    _hidden = frozenset(("token",))

    token: str

    def __init__(self, token: str) -> None:
        self._set(token=_key("token", token))


Credentials = Union[AccessKey, Password, GivenToken]


class Found(Value):
    """What one source says: credentials, and what else it knows.

    Attributes:
        source: where it was found, in words: ``"environment HUAWEICLOUD_SDK_*"``.
        project_id: the project's id, if the source names it.
        project_name: or its name: the region's, or ``<region>_<name>`` of a sub-project.
        endpoints: ``modelarts``, ``iam`` and ``obs``, those that the source names.
        obs_path: the folder in OBS that local folders are to be sent to, if the source names it.
        config_file: the file that was asked for by name, so that another process can find it.
        renew: answers fresh keys; called shortly before temporary ones expire.
    """

    __slots__ = (
        "config_file",
        "credentials",
        "endpoints",
        "obs_path",
        "project_id",
        "project_name",
        "region_name",
        "renew",
        "source",
    )

    credentials: Credentials
    source: str
    project_id: Optional[str]
    project_name: Optional[str]
    region_name: Optional[str]
    endpoints: Mapping[str, str]
    obs_path: Optional[str]
    config_file: Optional[str]
    renew: Optional[Callable[[], AccessKey]]

    def __init__(
        self,
        *,
        credentials: Credentials,
        source: str,
        project_id: Optional[str] = None,
        project_name: Optional[str] = None,
        region_name: Optional[str] = None,
        endpoints: Optional[Mapping[str, str]] = None,
        obs_path: Optional[str] = None,
        config_file: Optional[str] = None,
        renew: Optional[Callable[[], AccessKey]] = None,
    ) -> None:
        self._set(
            credentials=credentials,
            source=source,
            project_id=project_id,
            project_name=project_name,
            region_name=region_name,
            endpoints={} if endpoints is None else endpoints,
            obs_path=obs_path,
            config_file=config_file,
            renew=renew,
        )


def _key(name: str, value: object, secret: bool = True) -> str:
    # Keys go into headers: a line break that came along when one was copied
    # would surface as a signature error, or worse, as a second header.
    if not isinstance(value, str) or not value or _BLANK.search(value):
        allowed = "a text of printable ASCII characters without blanks or line breaks"
        raise InvalidArgument(name, value, allowed, secret=secret)
    return value


def _name(name: str, value: object, secret: bool = False) -> str:
    if not isinstance(value, str) or not value or _CONTROL.search(value):
        raise InvalidArgument(name, value, "a text without line breaks", secret=secret)
    return value


def to_seconds(text: Optional[str]) -> Optional[float]:
    """Seconds since the epoch of a time as IAM writes it, such as
    ``2020-01-04T09:05:22.701000Z``; None for none. Raises ValueError for anything else."""
    if text is None:
        return None
    from calendar import timegm
    from time import strptime

    return float(timegm(strptime(text[:19], "%Y-%m-%dT%H:%M:%S")))
