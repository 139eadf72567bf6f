"""Credentials in files: ModelArts' ``config.json``, Huawei Cloud's and OpenStack's."""

import json
import os
import stat
import warnings
from pathlib import Path
from typing import Any, Dict, Iterable, Mapping, Optional, Set

import attr

from modelarts import endpoints
from modelarts.auth.credentials import AccessKey, Credentials, Found, Password
from modelarts.auth.environment import keystone
from modelarts.auth.providers import NotHere, Provider, Surroundings, both_or_neither
from modelarts.errors import ConfigurationError

__all__ = ["CloudsYaml", "DefaultConfig", "ExplicitConfig", "HuaweiCloudCredentials"]

#: Every spelling that has been published for the original SDK's file.
_SPELLINGS: Mapping[str, Iterable[str]] = {
    "access_key": ("access_key", "access_Key", "ak"),
    "secret_key": ("secret_key", "access_Key_Secret", "sk"),
    "security_token": ("security_token", "securitytoken"),
    "account": ("account",),
    "username": ("username",),
    "password": ("password",),
    "project_id": ("project_id",),
    "region_name": ("region_name", "region"),
    "modelarts_endpoint": ("modelarts_endpoint",),
    "iam_endpoint": ("iam_endpoint",),
    "obs_endpoint": ("obs_endpoint",),
}
_warned: Set[Path] = set()


class ExplicitConfig(Provider):
    """The file of ``Session(config_file=…)``, or of ``MODELARTS_CONFIG``."""

    name = "config_file= or MODELARTS_CONFIG"

    def load(self, surroundings: Surroundings) -> Found:
        """What it says. That it is missing is an error: it was asked for."""
        asked = surroundings.config_file or surroundings.environ.get("MODELARTS_CONFIG")
        if not asked:
            raise NotHere("not given")
        path = Path(os.path.expanduser(asked))
        text = _text_of(path)
        if text is None:
            raise ConfigurationError("%s: there is no such file" % path)
        try:
            return attr.evolve(_config(path, text), config_file=str(path))
        except NotHere as reason:
            raise ConfigurationError("%s: %s" % (path, reason)) from None


class DefaultConfig(Provider):
    """``~/.modelarts/config.json``."""

    name = "~/.modelarts/config.json"

    def load(self, surroundings: Surroundings) -> Found:
        """What it says."""
        path = surroundings.home / ".modelarts" / "config.json"
        text = _text_of(path)
        if text is None:
            raise NotHere("there is no such file")
        return _config(path, text)


class HuaweiCloudCredentials(Provider):
    """``~/.huaweicloud/credentials``, the section ``basic``."""

    name = "~/.huaweicloud/credentials"

    def load(self, surroundings: Surroundings) -> Found:
        """What it says."""
        path = surroundings.home / ".huaweicloud" / "credentials"
        text = _text_of(path)
        if text is None:
            raise NotHere("there is no such file")
        import configparser

        parser = configparser.ConfigParser(interpolation=None)
        try:
            parser.read_string(text)
        except configparser.Error as error:
            # The message of a parser's error quotes the line, which may hold a key.
            raise ConfigurationError(
                "%s is not an INI file (%s)" % (path, type(error).__name__)
            ) from None
        if not parser.has_section("basic"):
            raise NotHere("it has no section [basic]")
        basic = dict(parser["basic"])
        if not both_or_neither(("ak", "sk"), basic.get, str(path)):
            raise NotHere("its section [basic] has no ak")
        named = {}
        if basic.get("iam_endpoint"):
            named["iam"] = endpoints.normalize("iam", basic["iam_endpoint"])
        return Found(
            credentials=AccessKey(basic["ak"], basic["sk"], basic.get("security_token") or None),
            source=str(path),
            project_id=basic.get("project_id") or None,
            endpoints=named,
        )


class CloudsYaml(Provider):
    """OpenStack's ``clouds.yaml``, with ``secure.yaml`` beside it; ``OS_CLOUD`` chooses.

    Looked for as OpenStack's clients do: ``OS_CLIENT_CONFIG_FILE``, the working directory,
    ``~/.config/openstack``, ``/etc/openstack``. Needs PyYAML (extra ``[openstack]``).
    """

    name = "clouds.yaml"

    def load(self, surroundings: Surroundings) -> Found:
        """What it says of the cloud."""
        wanted = surroundings.environ.get("OS_CLOUD")
        explicit = surroundings.environ.get("OS_CLIENT_CONFIG_FILE")
        folders = (
            surroundings.directory,
            surroundings.home / ".config" / "openstack",
            Path("/etc/openstack"),
        )
        paths = [Path(explicit)] if explicit else [folder / "clouds.yaml" for folder in folders]
        for path in paths:
            text = _text_of(path)
            if text is not None:
                return self._cloud(path, text, wanted)
        if wanted:
            raise ConfigurationError("OS_CLOUD is %s, and there is no clouds.yaml" % wanted)
        raise NotHere("there is no such file")

    def _cloud(self, path: Path, text: str, wanted: Optional[str]) -> Found:
        clouds = _clouds(path, text)
        if not wanted and len(clouds) != 1:
            raise NotHere("%s has %d clouds, and OS_CLOUD names none" % (path, len(clouds)))
        name = wanted or next(iter(clouds))
        if name not in clouds:
            raise ConfigurationError(
                "OS_CLOUD is %s; %s has %s" % (name, path, ", ".join(sorted(clouds)) or "none")
            )
        cloud = clouds[name]
        secure = path.with_name("secure.yaml")
        secrets = _text_of(secure)
        hidden = _clouds(secure, secrets).get(name, {}) if secrets is not None else {}
        auth = {**_mapping(cloud.get("auth")), **_mapping(hidden.get("auth"))}
        source = "%s, cloud %s" % (path, name)
        region = cloud.get("region_name")
        keys = {"ak": auth.get("ak"), "sk": auth.get("sk")}
        if both_or_neither(("ak", "sk"), keys.get, source):
            found = {}
            if auth.get("auth_url"):
                found["iam"] = endpoints.normalize("iam", auth["auth_url"])
            return Found(
                credentials=AccessKey(str(keys["ak"]), str(keys["sk"])),
                source=source,
                project_id=auth.get("project_id"),
                project_name=auth.get("project_name"),
                region_name=region,
                endpoints=found,
            )
        given = {
            "auth_url": auth.get("auth_url"),
            "token": auth.get("token"),
            "username": auth.get("username"),
            "password": auth.get("password"),
            "account": auth.get("user_domain_name") or auth.get("domain_name"),
            "project_id": auth.get("project_id"),
            "project_name": auth.get("project_name"),
            "region_name": region,
        }
        texts = {key: None if value is None else str(value) for key, value in given.items()}
        return keystone(texts, source, "%s has no username and no token" % source)


def _clouds(path: Path, text: str) -> Dict[str, Dict[str, Any]]:
    try:
        import yaml
    except ImportError:
        raise ConfigurationError(
            "%s cannot be read without PyYAML: pip install 'modelarts[openstack]'" % path
        ) from None
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = " at line %d" % (mark.line + 1) if mark is not None else ""
        raise ConfigurationError("%s is not YAML%s" % (path, where)) from None
    clouds = _mapping(_mapping(content).get("clouds"))
    return {str(name): _mapping(cloud) for name, cloud in clouds.items()}


def _mapping(value: Any) -> Dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _config(path: Path, text: str) -> Found:
    try:
        content = json.loads(text)
    except ValueError as error:
        line = getattr(error, "lineno", 0)
        raise ConfigurationError("%s is not JSON (line %d)" % (path, line)) from None
    if not isinstance(content, dict):
        raise ConfigurationError("%s is not a JSON object" % path)
    content = {**content, **_mapping(content.get("iam_config"))}
    given: Dict[str, Optional[str]] = {}
    for name, spellings in _SPELLINGS.items():
        value = next((content[one] for one in spellings if content.get(one)), None)
        if value is not None and not isinstance(value, str):
            raise ConfigurationError("%s: %s is not a text" % (path, name))
        given[name] = value
    credentials: Credentials
    if both_or_neither(("access_key", "secret_key"), given.get, str(path)):
        credentials = AccessKey(
            given["access_key"] or "", given["secret_key"] or "", given["security_token"]
        )
    elif both_or_neither(("username", "password"), given.get, str(path)):
        username = given["username"] or ""
        credentials = Password(username, given["password"] or "", given["account"] or username)
    else:
        raise NotHere("it has neither access_key nor username")
    named = {}
    for service in ("modelarts", "iam", "obs"):
        address = given[service + "_endpoint"]
        if address:
            named[service] = endpoints.normalize(service, address)
    return Found(
        credentials=credentials,
        source=str(path),
        project_id=given["project_id"],
        region_name=given["region_name"],
        endpoints=named,
    )


def _text_of(path: Path) -> Optional[str]:
    """The text of a file; None where there is none.

    Raises:
        ConfigurationError: it is there and cannot be read.
    """
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
            mode = os.fstat(file.fileno()).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ConfigurationError("%s cannot be read: %s" % (path, error.strerror)) from None
    except UnicodeDecodeError:
        raise ConfigurationError("%s is not a text in UTF-8" % path) from None
    others = stat.S_IRGRP | stat.S_IROTH
    if os.name == "posix" and mode & others and path not in _warned:
        _warned.add(path)
        warnings.warn(
            "%s holds secrets and others can read it: chmod 600 %s" % (path, path),
            UserWarning,
            stacklevel=2,
        )
    return text
