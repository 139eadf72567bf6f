"""The retry policy alone; no request is sent."""

import pytest

from modelarts.errors import AmbiguousCreate, ApiError, RequestTimeout, TransportError
from modelarts.http.retry import Retry

IDEMPOTENT = ("GET", "HEAD", "PUT", "DELETE")
OTHERS = ("POST", "PATCH")


def lost(kind=TransportError, sent=True):
    error = kind("no answer")
    error.sent = sent
    return error


@pytest.mark.parametrize(
    ("outcome", "idempotent", "others"),
    [
        (429, True, True),
        (lost(sent=False), True, True),
        (lost(RequestTimeout, sent=False), True, True),
        (500, True, False),
        (502, True, False),
        (503, True, False),
        (504, True, False),
        (lost(), True, False),
        (lost(RequestTimeout), True, False),
        (200, False, False),
        (201, False, False),
        (302, False, False),
        (400, False, False),
        (401, False, False),
        (403, False, False),
        (404, False, False),
        (409, False, False),
        (501, False, False),
        (ApiError("no", status_code=503), False, False),
        (KeyError("503"), False, False),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_only_what_can_do_no_harm_twice_is_repeated(outcome, idempotent, others):
    retry = Retry()
    for methods, expected in ((IDEMPOTENT, idempotent), (OTHERS, others)):
        for method in methods:
            assert retry.may_repeat(method, outcome) is expected
            assert (retry.delay(method, 1, outcome, None, 0.5) is not None) is expected


def test_a_lost_create_is_not_repeated_here():
    assert not Retry().may_repeat("POST", lost(AmbiguousCreate))


@pytest.mark.parametrize(("retries", "attempts"), [(0, 0), (1, 1), (3, 3), (10, 10)])
def test_there_are_so_many_repetitions_and_no_more(retries, attempts):
    retry = Retry(retries=retries)
    delays = [retry.delay("GET", attempt, 503, None, 0.5) for attempt in range(1, 20)]
    assert [delay is not None for delay in delays] == [n < attempts for n in range(19)]


def test_there_are_three_repetitions_if_nothing_is_said():
    assert Retry().retries == 3


@pytest.mark.parametrize(
    ("attempt", "most"),
    [(1, 0.5), (2, 1.0), (3, 2.0), (4, 4.0), (5, 8.0), (6, 10.0), (7, 10.0), (60, 10.0)],
)
def test_the_wait_doubles_up_to_the_cap_with_full_jitter(attempt, most):
    retry = Retry(retries=100, base=0.5, cap=10.0)
    assert retry.delay("GET", attempt, 503, None, 0.0) == 0.0
    assert retry.delay("GET", attempt, 503, None, 0.25) == most / 4
    assert retry.delay("GET", attempt, 503, None, 1.0) == most


def test_first_wait_is_at_most_a_fifth_of_a_second():
    assert Retry().delay("GET", 1, 503, None, 1.0) == 0.2


def test_the_wait_can_be_told_after_thousands_of_attempts():
    assert Retry(retries=10_000, cap=10.0).delay("GET", 10_000, 503, None, 1.0) == 10.0


@pytest.mark.parametrize(
    ("said", "expected"), [("0", 0.0), ("7", 7.0), ("10", 10.0), ("11", 10.0), ("9" * 400, 10.0)]
)
@pytest.mark.parametrize("status", [429, 503])
def test_what_the_service_asks_for_is_waited_up_to_the_cap(said, expected, status):
    assert Retry(cap=10.0).delay("GET", 1, status, said, 0.5) == expected


@pytest.mark.parametrize("said", [None, "", "soon", "-1", "1.5", "1e3", "Wed, 21 Oct", "²"])
def test_an_unreadable_wish_to_wait_is_passed_over(said):
    assert Retry(base=0.5).delay("GET", 1, 503, said, 0.5) == 0.25


@pytest.mark.parametrize(("now", "expected"), [(-5, 5.0), (0, 0.0), (60, 0.0), (-3600, 20.0)])
def test_a_date_to_wait_until_is_by_the_clock_of_the_service(now, expected):
    date = "Wed, 21 Oct 2026 07:28:00 GMT"
    assert Retry().delay("GET", 1, 503, date, 0.5, 1792567680.0 + now) == expected


def test_a_wish_to_wait_allows_no_more_than_the_policy():
    assert Retry().delay("POST", 1, 503, "1", 0.5) is None
    assert Retry().delay("GET", 4, 503, "1", 0.5) is None
    assert Retry().delay("GET", 1, 400, "1", 0.5) is None
