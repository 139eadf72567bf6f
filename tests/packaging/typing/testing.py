"""Types of the helpers for tests."""

from typing import Any, Dict, List

from typing_extensions import assert_type

from modelarts.session import Session
from modelarts.testing import (
    FakeClock,
    FakeModelArts,
    Fault,
    LocalService,
    Recorded,
    job_payload,
    no_sleep,
    rate_limited,
    service,
)

with FakeModelArts(statuses=[1, 7, 8]) as fake:
    assert_type(fake, FakeModelArts)
    assert_type(fake.session(), Session)
    assert_type(fake.add_job(statuses=[8], job_name="x"), str)
    assert_type(fake.requests, List[Recorded])
    fake.fail("list", rate_limited(retry_after=7), times=2)
    fake.fail("list", OSError())
with no_sleep() as clock:
    assert_type(clock, FakeClock)
with service() as running:
    assert_type(running, LocalService)
    running.write_scalars("/bucket/logs/", loss=[0.7, 0.5])
assert_type(rate_limited(), Fault)
assert_type(job_payload(status=8), Dict[str, Any])

fake.fail("list", "429")  # error: [arg-type]
FakeModelArts(status=[1])  # error: [call-arg]
