"""The kinds of credentials, and the source that they were found in.

A credential is checked when it is made; its repr shows no secret, and it cannot be pickled.
"""

from __future__ import annotations

import re
from typing import Any, Callable, Mapping, Optional, Tuple, Union

from modelarts._internal.values import Value
from modelarts.errors import InvalidArgument

_CONTROL = r"[\x00-\x1f\x7f]"


class CredentialsUnavailable(Exception):
    """This source has no credentials; the message gives the reason."""


class _Secret(Value):
    __slots__ = ()

    def __reduce__(self) -> Tuple[Any, ...]:
        raise TypeError("%s holds a secret and is not pickled" % type(self).__name__)


class AccessKey(_Secret):
    """An access key and its secret key (AK/SK), with a security token if they are temporary.

    Attributes:
        access_key: the access key (AK).
        secret_key: the secret key (SK).
        security_token: the security token of temporary keys; None for permanent ones.
        expires_at: the time at which temporary keys expire, in seconds since the epoch; None if
            they do not, or if it is not known.

    Raises:
        InvalidArgument: a key is empty, or contains blanks or line breaks.

    Example:
        >>> AccessKey("AK", "SK")
        AccessKey(access_key='AK', expires_at=None)
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
    """A user's name and password, with the account (Keystone: domain) of the user.

    Attributes:
        username: the name of the IAM user.
        password: the password.
        account: the account's name; by default the user's name.
        account_id: the account's id; if it is given, the account's name is not used.

    Raises:
        InvalidArgument: a value is empty or contains line breaks.
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


class ApplicationCredential(_Secret):
    """An application credential of Keystone, which stands for one user in one project.

    Attributes:
        secret: the secret.
        id: its id; None if it is given by its name and its user.
        name: its name; None if it is given by its id.
        user_id: the id of its user; None if the user is given by name.
        username: the name of its user.
        account: the account (domain) of that user, by name.
        account_id: the account's id; if it is given, the account's name is not used.

    Raises:
        InvalidArgument: a value is empty or contains line breaks, or neither an id nor a name with
            a user is given.
    """

    __slots__ = ("account", "account_id", "id", "name", "secret", "user_id", "username")
    _hidden = frozenset(("secret",))

    secret: str
    id: Optional[str]
    name: Optional[str]
    user_id: Optional[str]
    username: Optional[str]
    account: Optional[str]
    account_id: Optional[str]

    def __init__(
        self,
        secret: str,
        id: Optional[str] = None,
        *,
        name: Optional[str] = None,
        user_id: Optional[str] = None,
        username: Optional[str] = None,
        account: Optional[str] = None,
        account_id: Optional[str] = None,
    ) -> None:
        fields = {
            "id": id,
            "name": name,
            "user_id": user_id,
            "username": username,
            "account": account,
            "account_id": account_id,
        }
        if id is None:
            if name is None:
                allowed = "given, or application_credential_name and its user"
                raise InvalidArgument("application_credential_id", None, allowed)
            if user_id is None and (username is None or (account is None and account_id is None)):
                allowed = "given, or username and its domain, with application_credential_name"
                raise InvalidArgument("user_id", None, allowed)
        self._set(
            secret=_name("application_credential_secret", secret, secret=True),
            **{
                field: None if value is None else _name(_APPLICATION.get(field, field), value)
                for field, value in fields.items()
            },
        )


#: The names of these fields in files and variables.
_APPLICATION = {"id": "application_credential_id", "name": "application_credential_name"}


class StaticToken(_Secret):
    """A token from another source; it is used unchanged, and cannot be renewed.

    Attributes:
        token: the token.

    Raises:
        InvalidArgument: the token is empty, or contains blanks or line breaks.
    """

    __slots__ = ("token",)
    _hidden = frozenset(("token",))

    token: str

    def __init__(self, token: str) -> None:
        self._set(token=_key("token", token))


Credentials = Union[AccessKey, Password, ApplicationCredential, StaticToken]


class CredentialSet(Value):
    """The credentials of one source, and the other settings of that source.

    Attributes:
        credentials: an :class:`AccessKey`, :class:`Password`, :class:`ApplicationCredential` or
            :class:`StaticToken`.
        source: the name of the source, such as ``"environment HUAWEICLOUD_SDK_*"``.
        project_id: the project's id, if the source has it.
        project_name: the project's name, if the source has it: the region's name, or
            ``<region>_<name>`` for a sub-project.
        region_name: the region, if the source has it.
        endpoints: the addresses that the source has, by ``modelarts``, ``iam`` and ``obs``.
        obs_path: the folder in OBS that local folders are sent to, if the source has it.
        api: ``"auto"``, ``"v1"`` or ``"v2"``, if the source has it.
        config_file: the path of a configuration file that was given by name, so that another
            process can find it.
        renew: a function that returns fresh keys; called shortly before temporary ones expire.
    """

    __slots__ = (
        "api",
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
    api: Optional[str]
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
        api: Optional[str] = None,
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
            api=api,
            config_file=config_file,
            renew=renew,
        )


def _key(name: str, value: object, secret: bool = True) -> str:
    # Keys go into headers: a line break that came along when one was copied
    # would surface as a signature error, or worse, as a second header.
    if not isinstance(value, str) or not _is_visible(value):
        allowed = "a text of printable ASCII characters without blanks or line breaks"
        raise InvalidArgument(name, value, allowed, secret=secret)
    return value


def _is_visible(text: str) -> bool:
    return text != "" and text.isascii() and text.isprintable() and " " not in text


def _name(name: str, value: object, secret: bool = False) -> str:
    if not isinstance(value, str) or not value or re.search(_CONTROL, value):
        raise InvalidArgument(name, value, "a text without line breaks", secret=secret)
    return value


def to_seconds(text: Optional[str]) -> Optional[float]:
    """Return the seconds since the epoch of a time in IAM's format, such as
    ``2020-01-04T09:05:22.701000Z``; None for None. Raises ValueError for other texts."""
    if text is None:
        return None
    from calendar import timegm
    from time import strptime

    return float(timegm(strptime(text[:19], "%Y-%m-%dT%H:%M:%S")))
