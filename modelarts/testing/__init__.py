"""Testing code that uses this package: a fake, the real local service, and waits without sleep.

============================  =============================================================
:class:`FakeModelArts`        ModelArts and IAM in memory, for unit tests (``responses``)
:func:`service`               the real local service in a temporary folder
:func:`no_sleep`              waits and retries that take no time
:mod:`~modelarts.testing.payloads`  answers as the API documents them
============================  =============================================================

pytest finds the fixtures ``fake_modelarts``, ``modelarts_service`` and ``no_sleep`` by itself.
Needs the extra ``modelarts[testing]``.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modelarts.testing.clocks import FakeClock, no_sleep
    from modelarts.testing.fake import FakeModelArts
    from modelarts.testing.faults import (
        Fault,
        answer_lost,
        never_sent,
        quota_exceeded,
        rate_limited,
        refused,
        server_error,
    )
    from modelarts.testing.local import LocalService, service
    from modelarts.testing.payloads import (
        created_payload,
        failure_payload,
        gateway_failure_payload,
        iam_failure_payload,
        job_payload,
        page_payload,
        token_payload,
    )
    from modelarts.testing.requests import Malformed, Recorded

__all__ = [
    "FakeClock",
    "FakeModelArts",
    "Fault",
    "LocalService",
    "Malformed",
    "Recorded",
    "answer_lost",
    "created_payload",
    "failure_payload",
    "gateway_failure_payload",
    "iam_failure_payload",
    "job_payload",
    "never_sent",
    "no_sleep",
    "page_payload",
    "quota_exceeded",
    "rate_limited",
    "refused",
    "server_error",
    "service",
    "token_payload",
]

_HOMES = {
    "clocks": ("FakeClock", "no_sleep"),
    "fake": ("FakeModelArts",),
    "faults": (
        "Fault",
        "answer_lost",
        "never_sent",
        "quota_exceeded",
        "rate_limited",
        "refused",
        "server_error",
    ),
    "local": ("LocalService", "service"),
    "payloads": (
        "created_payload",
        "failure_payload",
        "gateway_failure_payload",
        "iam_failure_payload",
        "job_payload",
        "page_payload",
        "token_payload",
    ),
    "requests": ("Malformed", "Recorded"),
}


def __getattr__(name: str) -> Any:
    # Imported lazily: pytest loads this package in every run where it is installed.
    for module, names in _HOMES.items():
        if name in names:
            from importlib import import_module

            return getattr(import_module("modelarts.testing." + module), name)
    raise AttributeError("module %r has no attribute %r" % (__name__, name))
