"""The errors: one tree, with what each says, keeps, and is made for."""

import copy
import json
import pickle
import re

import pytest

from modelarts import errors
from modelarts._internal.wording import Worded, command_of, worded
from modelarts.errors import (
    AmbiguousCreate,
    ApiError,
    ApiException,
    AuthenticationFailed,
    BadRequest,
    ConfigurationError,
    CredentialsNotFound,
    IncompleteTransfer,
    InvalidArgument,
    JobFailed,
    JobStateError,
    ModelArtsError,
    NoEventFiles,
    NotFound,
    PermissionDenied,
    QuotaExceeded,
    RateLimited,
    RequestKind,
    RequestTimeout,
    ServerError,
    TransferError,
    TransportError,
    WaitError,
    WaitTimeout,
    api_error,
)
from modelarts.estimator import VisualizationJob
from modelarts.http.errors import read_json
from modelarts.http.models import Request, Response

TREE = {
    InvalidArgument: {},
    ConfigurationError: {CredentialsNotFound: {}},
    TransportError: {RequestTimeout: {}, AmbiguousCreate: {}},
    ApiError: {
        BadRequest: {},
        AuthenticationFailed: {},
        PermissionDenied: {},
        NotFound: {},
        QuotaExceeded: {},
        RateLimited: {},
        ServerError: {},
        JobStateError: {},
    },
    TransferError: {},
    IncompleteTransfer: {},
    WaitError: {JobFailed: {}, WaitTimeout: {}},
}
BUILT_IN = {
    InvalidArgument: ValueError,
    TransportError: ConnectionError,
    RequestTimeout: TimeoutError,
    NotFound: LookupError,
    WaitTimeout: TimeoutError,
}


def a_job():
    job = VisualizationJob(visualization_id="8992")
    job.__setstate__({"id": "8992", "raw": {"job_name": "job1", "status": 11}, "state": 1})
    return job


DETAILS = {
    "status_code": 400,
    "error_code": "ModelArts.0104",
    "request_id": "f00d",
    "operation": "create visualization job",
    "reason": "Bad Request",
    "body": "{}",
    "headers": {"Date": "today"},
    "request_kind": RequestKind.AUTHENTICATION,
}
#: One of each, with everything that can be given.
EXAMPLES = [
    InvalidArgument("job_name", "a b", "1 to 20 letters"),
    InvalidArgument("secret_key", "a\nb", "no line breaks", secret=True),
    ConfigurationError("no region"),
    CredentialsNotFound("no credentials", (("environment", "nothing is set"), ("file", "none"))),
    TransportError("no answer", "https://h:1", "stop visualization job 1"),
    RequestTimeout("no answer", "https://h:1", "stop visualization job 1"),
    AmbiguousCreate("no answer", "https://h:1", "create visualization job", "job1f00aa27"),
    *(kind("Illegal name", **DETAILS) for kind in (ApiError, *TREE[ApiError])),
    api_error("can't be stop. job status: 10", status_code=400, error_code="ModelArts.0105"),
    TransferError("runs/events changed while it was being sent"),
    IncompleteTransfer([("runs/events", api_error("no", **DETAILS))], ["runs/other"]),
    WaitError("ended", a_job()),
    JobFailed("job 8992 is FAILED", a_job()),
    WaitTimeout("job 8992 is still WAITING", a_job()),
]


# The tree ---------------------------------------------------------------------------------


def children(kind):
    """The errors of the module under ``kind``, as a tree."""
    found = (c for c in kind.__subclasses__() if c.__module__ == errors.__name__)
    return {child: children(child) for child in found}


def test_the_tree_is_the_promised_one():
    assert children(ModelArtsError) == TREE


def test_the_tree_is_drawn_in_the_docstring():
    """Each name stands four columns to the right of the one that it is under."""
    drawn = {}
    above = [drawn]
    for line in errors.__doc__.splitlines():
        names = [name for name in re.findall(r"\w+", line) if hasattr(errors, name)]
        kinds = [getattr(errors, name) for name in names]
        if "ModelArtsError" in names or not kinds:
            continue
        depth = line.index(names[0]) // 4 - 1
        del above[depth:]
        for kind in kinds:
            above[depth - 1][kind] = {}
        above.append(above[depth - 1][kinds[-1]])
    assert drawn == TREE


def test_what_is_exported_is_the_tree_and_how_a_refusal_is_made():
    def names(tree):
        return {kind.__name__ for kind in tree}.union(*map(names, tree.values()))

    besides = {"ApiException", "NoEventFiles", "RequestKind", "api_error"}
    assert set(errors.__all__) == {"ModelArtsError", *names(TREE), *besides}


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_an_error_is_also_the_built_in_one_that_it_resembles(error):
    """Exactly those: nothing else of the standard library's tree catches it."""
    expected = {built_in for kind, built_in in BUILT_IN.items() if isinstance(error, kind)}
    expected |= {OSError} if expected & {ConnectionError, TimeoutError} else set()
    candidates = {ValueError, ConnectionError, TimeoutError, LookupError, OSError, TypeError}
    assert {kind for kind in candidates if isinstance(error, kind)} == expected
    assert isinstance(error, ModelArtsError)


def test_the_old_name_is_the_same_class():
    assert ApiException is ApiError


# Pickling ---------------------------------------------------------------------------------


def state(error):
    """Return the attributes of an error, with jobs as their attributes."""
    kept = dict(vars(error))
    if "job" in kept:
        kept["job"] = kept["job"].__getstate__()
    if "failed" in kept:
        kept["failed"] = [(name, type(one), state(one)) for name, one in kept["failed"]]
    return kept


def test_there_is_an_example_of_each_error():
    examples = {type(error) for error in EXAMPLES}
    assert examples == {getattr(errors, name) for name in errors.__all__} - {
        ModelArtsError,
        NoEventFiles,
        RequestKind,
        api_error,
    }


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_an_error_comes_back_from_a_pickle_as_it_was(error, protocol):
    again = pickle.loads(pickle.dumps(error, protocol))
    assert type(again) is type(error)
    assert (str(again), repr(again), again.args) == (str(error), repr(error), error.args)
    assert state(again) == state(error)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_that_nothing_was_sent_comes_back_from_a_pickle(protocol):
    error = TransportError("refused", "https://h:1")
    error.sent = False
    assert pickle.loads(pickle.dumps(error, protocol)).sent is False


# What they say and keep -------------------------------------------------------------------


def test_invalid_argument_names_value_and_allowed():
    """A wrong argument names itself what was given and what is allowed."""
    error = InvalidArgument("job_name", "a b", "1 to 20 letters")
    assert (error.argument, error.given, error.allowed) == ("job_name", "'a b'", "1 to 20 letters")
    assert str(error) == "job_name must be 1 to 20 letters; got 'a b'"


def test_a_wrong_secret_is_not_shown():
    error = InvalidArgument("password", "s3cret\n", "no line breaks", secret=True)
    assert "s3cret" not in str(error) + repr(error) + repr(vars(error))
    assert error.given is None
    assert str(error) == "password must be no line breaks; its value is not shown"


def test_a_long_wrong_argument_is_shortened():
    error = InvalidArgument("job_desc", "x" * 5000, "0 to 256 characters")
    assert len(str(error)) < 200
    assert "5002 characters" in str(error)


def test_missing_credentials_list_sources():
    """Missing credentials name what was tried and why each failed."""
    tried = (("environment", "MODELARTS_ACCESS_KEY is not set"), ("file", "there is none"))
    error = CredentialsNotFound("no credentials", tried)
    assert error.tried == tried
    assert str(error).splitlines() == [
        "no credentials",
        "  - environment: MODELARTS_ACCESS_KEY is not set",
        "  - file: there is none",
    ]


@pytest.mark.parametrize("kind", [TransportError, RequestTimeout, AmbiguousCreate])
def test_transport_error_names_address_and_operation(kind):
    """No answer keeps the address and names what was being done."""
    error = kind("no answer from https://h:1", "https://h:1", "stop visualization job 5")
    assert (error.address, error.operation) == ("https://h:1", "stop visualization job 5")
    assert str(error) == "stop visualization job 5: no answer from https://h:1"
    assert error.sent is True


def test_no_answer_is_no_error_of_the_operating_system():
    """``OSError`` reads several arguments as number, text and file; these are none."""
    error = RequestTimeout("no answer", "https://h:1", "stop")
    assert (error.errno, error.strerror, error.filename) == (None, None, None)


def test_an_ambiguous_create_keeps_the_job_to_look_for():
    error = AmbiguousCreate("no answer", "https://h:1", "create visualization job", "job1f00aa27")
    assert error.job_name == "job1f00aa27"


def test_a_refusal_names_all_that_the_service_said():
    error = ApiError("Illegal name: a b", **DETAILS)
    for said in ("create visualization job", "400", "ModelArts.0104", "Illegal name", "f00d"):
        assert said in str(error)


@pytest.mark.parametrize(
    ("details", "expected"),
    [
        ({}, "HTTP 0: no explanation"),
        ({"status_code": 502, "reason": "Bad Gateway"}, "HTTP 502: Bad Gateway"),
        ({"status_code": 400, "error_code": "X.1"}, "HTTP 400: X.1"),
        ({"error_msg": "no", "status_code": 400}, "HTTP 400: no"),
    ],
)
def test_a_refusal_without_words_says_what_there_is(details, expected):
    assert str(ApiError(details.pop("error_msg", ""), **details)) == expected


def test_a_refusal_has_every_documented_attribute():
    error = ApiError("Illegal name", **DETAILS)
    assert error.is_success is False
    assert error.error_msg == error.error_message == "Illegal name"
    for name, value in DETAILS.items():
        assert getattr(error, name) == value


def test_a_refusal_reads_as_the_old_generated_clients_did():
    error = ApiException("Illegal name", **DETAILS)
    assert (error.status, error.reason, error.body) == (400, "Bad Request", "{}")
    assert error.headers == {"Date": "today"}


def test_a_refusal_is_the_documented_dict():
    assert ApiError("Illegal name", **DETAILS).as_dict() == {
        "is_success": False,
        "error_code": "ModelArts.0104",
        "error_msg": "Illegal name",
        "error_message": "Illegal name",
    }


def test_a_refusals_headers_are_its_own():
    headers = {"Date": "today"}
    error = ApiError("no", headers=headers)
    headers["Date"] = "tomorrow"
    assert error.headers == {"Date": "today"}


@pytest.mark.parametrize("kind", [WaitError, JobFailed, WaitTimeout])
def test_a_wait_that_failed_carries_the_job(kind):
    job = a_job()
    error = kind("job 8992 is FAILED", job)
    assert error.job is job
    assert str(error) == "job 8992 is FAILED"


# Which error is made ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (500, "ModelArts.0010", ServerError),
        (404, "ModelArts.0015", NotFound),
        (400, "ModelArts.0101", BadRequest),
        (400, "ModelArts.0102", BadRequest),
        (400, "ModelArts.0103", BadRequest),
        (400, "ModelArts.0104", BadRequest),
        (400, "ModelArts.0105", JobStateError),
        (400, "ModelArts.0107", BadRequest),
        (403, "ModelArts.0108", PermissionDenied),
        (403, "ModelArts.0112", PermissionDenied),
        (400, "ModelArts.0116", QuotaExceeded),
        (400, "ModelArts.0118", QuotaExceeded),
        (400, "ModelArts.0204", BadRequest),
        (400, "ModelArts.0210", BadRequest),
        (401, "APIG.0301", AuthenticationFailed),
        (429, "APIG.0308", RateLimited),
        # The code says more than the HTTP status, which is not documented.
        (200, "ModelArts.0010", ServerError),
        (200, "ModelArts.0015", NotFound),
        (400, "ModelArts.0015", NotFound),
        (200, "ModelArts.0105", JobStateError),
        (400, "ModelArts.0108", PermissionDenied),
        (400, "APIG.0301", AuthenticationFailed),
        (503, "APIG.0308", RateLimited),
        # No code, or one that is not known: the HTTP status says it.
        (200, None, BadRequest),
        (302, None, ApiError),
        (400, None, BadRequest),
        (401, None, AuthenticationFailed),
        (403, None, PermissionDenied),
        (404, None, NotFound),
        (405, None, BadRequest),
        (409, None, BadRequest),
        (429, None, RateLimited),
        (500, None, ServerError),
        (502, None, ServerError),
        (503, None, ServerError),
        (504, "APIG.0201", ServerError),
        (404, "ModelArts.9999", NotFound),
        (401, "", AuthenticationFailed),
    ],
)
def test_a_refusal_is_made_by_its_code_and_else_by_its_status(status, code, kind):
    error = api_error("no", status_code=status, error_code=code)
    assert type(error) is kind
    assert (error.status_code, error.error_code, error.error_msg) == (status, code, "no")


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ("This job can't be delete. job status: 9", 9),
        ("This job can't be resubmit. job status: 8", 8),
        ("This job can't be stop. job status: 10", 10),
        ("This job can't be stop. job status: RUNNING", None),
        ("This job can't be stop.", None),
        ("", None),
    ],
)
def test_a_refusal_for_its_status_names_the_status(said, status):
    body = json.dumps({"is_success": False, "error_code": "ModelArts.0105", "error_msg": said})
    request = Request("POST", "https://h", "/v1/p/visualization-jobs/1/stop")
    with pytest.raises(JobStateError) as caught:
        read_json(Response(400, "", {}, body.encode(), 1), request)
    assert caught.value.job_status == status


def test_a_name_with_a_line_break_is_told_on_one_line():
    error = IncompleteTransfer([("runs/a\nb", TransportError("no answer\x1b[2J"))])
    assert str(error).splitlines()[1:] == [r"  - runs/a\nb: no answer\x1b[2J"]
    assert error.failed[0][0] == "runs/a\nb"


# Two wordings -------------------------------------------------------------------------------


def test_text_with_two_wordings_keeps_both_in_other_texts():
    form = Worded("recursive=True", "--recursive")
    text = worded("%s of %d: %s", "one", 2, form)
    assert (text, command_of(text)) == ("one of 2: recursive=True", "one of 2: --recursive")
    assert command_of(worded("%s", text)) == "one of 2: --recursive"
    plain = worded("%s of %d", "one", 2)
    assert (type(plain), command_of(plain)) == (str, "one of 2")


@pytest.mark.parametrize("copied", [copy.copy, lambda e: pickle.loads(pickle.dumps(e))])
def test_error_has_both_wordings(copied):
    form = Worded("a folder: recursive=True", "a folder: --recursive")
    error = copied(InvalidArgument("url", "x", form))
    assert str(error) == "url must be a folder: recursive=True; got 'x'"
    assert command_of(error) == "url must be a folder: --recursive; got 'x'"
    outer = worded("failed: %s", error)
    assert (outer, command_of(outer)) == (
        "failed: url must be a folder: recursive=True; got 'x'",
        "failed: url must be a folder: --recursive; got 'x'",
    )
