"""The XML of the OBS API's responses."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from typing import Iterable
from urllib.parse import quote
from xml.sax.saxutils import escape

from werkzeug.wrappers import Response

from modelarts.errors import ApiError
from modelarts.local.obs_api.auth import Refusal

#: The characters that XML 1.0 does not allow.
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Names:
    """The form of keys in a response: encoded if requested, or if XML does not allow a key."""

    def __init__(self, is_wished: bool, names: Iterable[str]) -> None:
        is_encoded = is_wished or any(_NO_XML.search(name) for name in names)
        self._is_encoded = is_encoded
        self.encoding = "<EncodingType>url</EncodingType>" if is_encoded else ""

    def of(self, name: str) -> str:
        """Return a name in the form of this response."""
        return quote(name, safe="/") if self._is_encoded else escape(name)


def xml(name: str, inside: str) -> Response:
    """Return an XML response."""
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<{name}>{inside}</{name}>'
    return Response(text.encode(), content_type="application/xml")


def refused(refusal: Refusal, request_id: str) -> Response:
    """Return the response for a refusal."""
    message = escape(_NO_XML.sub("?", refusal.message))
    answer = xml(
        "Error",
        f"<Code>{refusal.code}</Code><Message>{message}</Message><RequestId>{request_id}</RequestId>",
    )
    answer.status_code = refusal.status
    return answer


def as_refusal(error: ApiError) -> Refusal:
    """Return the refusal that OBS would give for an error of the folder."""
    return Refusal(error.status_code, error.error_code or "InternalError", error.error_msg)


def missing(what: str) -> Refusal:
    """Return the refusal for a feature that the service does not have."""
    return Refusal(501, "NotImplemented", f"The local service does not know {what}.")


def iso(moment: float) -> str:
    """Return a time as OBS writes it."""
    return f"{datetime.fromtimestamp(moment, timezone.utc):%Y-%m-%dT%H:%M:%S}.000Z"
