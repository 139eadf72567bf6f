"""``/local/obs-keys``: programs send the keys with which the service reads OBS."""

from __future__ import annotations

from typing import Any

from werkzeug.wrappers import Request, Response

from modelarts.local.errors import Failure, json_of, json_response
from modelarts.local.identity.authentication import Authentication
from modelarts.local.identity.users import OWNER
from modelarts.local.logs.sent_keys import ObsKeys, SentKeys

_MAX_LENGTH = 16 * 1024


class ObsKeysApi:
    """Takes keys from the user ``local`` alone, who can read ``service.json``."""

    def __init__(self, keys: SentKeys, authentication: Authentication) -> None:
        self._keys = keys
        self._authentication = authentication

    def put(self, request: Request) -> Response:
        """``PUT`` with ``{"access_key": …, "secret_key": …, "security_token": … or null}``."""
        caller = self._authentication.caller(request)
        if caller.user.name != OWNER or not caller.acts_for_own_project:
            raise Failure(
                403,
                "ModelArts.0203",
                f"Only the user {OWNER} sends keys for OBS, for their own project.",
            )
        body = json_of(request)
        fields = body if isinstance(body, dict) else {}
        access_key, secret_key = _key(fields, "access_key"), _key(fields, "secret_key")
        token = _key(fields, "security_token") if fields.get("security_token") else None
        self._keys.put(ObsKeys(access_key, secret_key, token))
        return json_response({"is_success": True})


def _key(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not value.isascii() or not 0 < len(value) <= _MAX_LENGTH:
        raise Failure(400, "ModelArts.0104", f"{name} must be 1 to {_MAX_LENGTH} ASCII characters.")
    return value
