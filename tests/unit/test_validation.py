"""Validation of arguments: each wrong one is refused by name, each right one is sent so."""

import pytest

from modelarts import validation as arguments
from modelarts.errors import InvalidArgument
from modelarts.models import JobStatus, Schedule


class Index:
    """A whole number of another library."""

    def __init__(self, number):
        self.number = number

    def __index__(self):
        return self.number


def refused(argument, check, *given, **named):
    with pytest.raises(InvalidArgument) as caught:
        check(*given, **named)
    assert caught.value.argument == argument
    assert str(caught.value).startswith(argument + " must be ")
    assert caught.value.allowed in str(caught.value)


# A job's words ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["j", "0", "-", "_", "job-1_A", "x" * 20])
def test_a_name_may_be_of_letters_digits_hyphens_and_underscores(name):
    assert arguments.job_name(name) == name


@pytest.mark.parametrize(
    "name",
    ["", "x" * 21, "a b", " ", "ü", "job\n", "\n", "job.1", "job/1", "日", "٣", b"job", 5, None],
)
def test_another_name_is_refused(name):
    refused("job_name", arguments.job_name, name)


@pytest.mark.parametrize("text", ["", "x" * 256, "ü" * 256, "two\nlines", "😀" * 256])
def test_a_description_may_be_any_text_of_256_characters(text):
    assert arguments.job_desc(text) == text


@pytest.mark.parametrize("text", ["x" * 257, "😀" * 257, None, 5, b"text"])
def test_another_description_is_refused(text):
    refused("job_desc", arguments.job_desc, text)


@pytest.mark.parametrize(
    ("given", "sent"), [("8992", "8992"), (8992, "8992"), (1, "1"), (2**63, str(2**63))]
)
def test_an_id_may_be_a_number_or_its_digits(given, sent):
    assert arguments.job_id(given) == sent


@pytest.mark.parametrize(
    "given",
    [
        *("", "0", "-1", "x", "8992/stop", "../1", " 1", "1\n", "1.0", "+1", "٣", "²", "9" * 5000),
        *(0, -1, True, 1.0, None, b"1", ["1"]),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_another_id_is_refused(given):
    refused("visualization_id", arguments.job_id, given)


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("tensorboard", "tensorboard"),
        ("TensorBoard", "tensorboard"),
        ("mindinsight", "mindinsight"),
        ("MindInsight", "mindinsight"),
    ],
)
def test_a_type_may_be_written_in_any_case(given, sent):
    assert arguments.job_type(given) == sent


@pytest.mark.parametrize("given", ["", "notebook", "tensorboard ", None, 5, b"tensorboard", []])
def test_another_type_is_refused(given):
    refused("job_type", arguments.job_type, given)


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("/bucket/path/", "/bucket/path/"),
        ("/bucket/path", "/bucket/path/"),
        ("obs://bucket/path/", "/bucket/path/"),
        ("obs://bucket/path", "/bucket/path/"),
        ("/bucket", "/bucket/"),
        ("/bucket/", "/bucket/"),
        ("obs://bucket", "/bucket/"),
        ("/bucket/my logs/", "/bucket/my logs/"),
        ("/bucket/größe/日本/", "/bucket/größe/日本/"),
        ("/bucket/a..b/.hidden/...", "/bucket/a..b/.hidden/.../"),
        ("/b.u-c_k3t/a%2e/", "/b.u-c_k3t/a%2e/"),
        ("/b/" + "x" * 1020 + "/", "/b/" + "x" * 1020 + "/"),
    ],
    ids=lambda value: value[:30],
)
def test_a_train_url_is_sent_as_bucket_and_folder(given, sent):
    assert arguments.train_url(given) == sent


@pytest.mark.parametrize(
    "given",
    [
        "",
        " ",
        "/",
        "//",
        "//bucket/path/",
        "obs://",
        "obs:///path/",
        "bucket/path/",
        "./logs",
        "../bucket/path/",
        " /bucket/path/",
        "/bucket/path/ ",
        "obs://bucket/path ",
        "obs:// bucket/path/",
        "/bucket/path/\n",
        "/bucket/a\nb/",
        "/bucket/a\tb/",
        "/bucket/a\x00b/",
        "/bucket\n/path/",
        "/bucket/..",
        "/bucket/../other/",
        "/bucket/path/../../other/",
        "/bucket/./path/",
        "/../bucket/",
        "obs://../bucket/",
        "/bucket\\path/",
        "/bucket/path\\to/",
        "\\bucket\\path\\",
        "s3://bucket/path/",
        "http://bucket/path/",
        "https://bucket.obs.example.com/path/",
        "file:///bucket/path/",
        "/bucket name/path/",
        "/-bucket/path/",
        "/" + "b" * 64 + "/path/",
        "/b/" + "x" * 1022 + "/",
        "/b/" + "日" * 341 + "/",
        None,
        5,
        b"/bucket/path/",
        ["/bucket/path/"],
    ],
    ids=lambda value: ascii(value)[:40],
)
def test_another_train_url_is_refused(given):
    refused("train_url", arguments.train_url, given)


@pytest.mark.parametrize(
    ("given", "hours"), [(0, 0), (1, 1), (24, 24), ("5", 5), (Index(7), 7), (JobStatus.RUNNING, 8)]
)
def test_an_auto_stop_is_whole_hours(given, hours):
    assert arguments.auto_stop(given) == Schedule(hours)


def test_no_auto_stop_is_no_schedule():
    assert arguments.auto_stop(None) is None


@pytest.mark.parametrize(
    "given", [25, -1, "25", "-1", "x", "", " 5", "5\n", "٣", True, False, 1.5, 2.0, [1], Index(25)]
)
def test_another_auto_stop_is_refused(given):
    refused("auto_stop", arguments.auto_stop, given)


@pytest.mark.parametrize(
    ("given", "sent"),
    [(None, None), ("flavor.1", {"code": "flavor.1"}), ({"code": "f", "x": 1}, {"code": "f"})],
)
def test_a_flavor_is_sent_as_an_object(given, sent):
    assert arguments.flavor(given) == sent


@pytest.mark.parametrize("given", ["", 5, [], {}, {"code": ""}, {"code": 5}, {"name": "f"}])
def test_another_flavor_is_refused(given):
    refused("flavor", arguments.flavor, given)


# The filters of a list --------------------------------------------------------------------


def test_what_is_not_given_is_not_sent():
    assert arguments.list_query() == {}


@pytest.mark.parametrize(
    ("argument", "given", "sent"),
    [
        ("status", 8, "8"),
        ("status", "8", "8"),
        ("status", 0, "0"),
        ("status", JobStatus.RUNNING, "8"),
        ("status", "3|5|6|13", "3|5|6|13"),
        ("status", [3, 5, 6, 13], "3|5|6|13"),
        ("status", (JobStatus.RUNNING, 12), "8|12"),
        ("status", iter([8]), "8"),
        ("status", [Index(8)], "8"),
        ("status", 99, "99"),
        ("per_page", 1, "1"),
        ("per_page", 1000, "1000"),
        ("per_page", "10", "10"),
        ("per_page", Index(10), "10"),
        ("page", 1, "1"),
        ("page", "2", "2"),
        ("page", 10**6, "1000000"),
        ("sort_by", "job_id", "job_id"),
        ("sort_by", "job_name", "job_name"),
        ("sort_by", "job_desc", "job_desc"),
        ("sort_by", "create_time", "create_time"),
        ("sort_by", "status", "status"),
        ("sort_by", "duration", "duration"),
        ("sort_by", "log_dir", "log_dir"),
        ("order", "asc", "asc"),
        ("order", "desc", "desc"),
        ("search_content", "job", "job"),
        ("search_content", "größe 日", "größe 日"),
        ("search_content", "x" * 100, "x" * 100),
        ("workspace_id", "0", "0"),
        ("workspace_id", 0, "0"),
        ("workspace_id", "3ee7f79b", "3ee7f79b"),
    ],
)
def test_a_filter_is_sent_as_text(argument, given, sent):
    assert arguments.list_query(**{argument: given}) == {argument: sent}


def test_an_empty_search_is_no_search():
    assert arguments.list_query(search_content="") == {}


def test_all_filters_can_be_given_at_once():
    given = {
        "status": 8,
        "per_page": 5,
        "page": 2,
        "sort_by": "status",
        "order": "asc",
        "search_content": "job",
        "workspace_id": "0",
    }
    assert arguments.list_query(**given) == {name: str(value) for name, value in given.items()}


@pytest.mark.parametrize(
    ("argument", "given"),
    [
        *(
            ("status", value)
            for value in (-1, "-1", "x", "", "8,9", "8|", "|8", "8||9", " 8", "8\n", "٣")
        ),
        *(("status", value) for value in (True, 8.0, [], [-1], ["x"], [True], [8.5], b"8", {})),
        *(
            ("page", value)
            for value in (0, -1, "0", "-1", "x", "", "1\n", " 1", "٣", True, 1.0, [1], 2**31)
        ),
        *(("per_page", value) for value in (0, 1001, -1, "1001", "x", "", True, 10.0, [10])),
        *(("sort_by", value) for value in ("", "x", "JOB_ID", "sortBy", "job_id\n", 5, ["job_id"])),
        *(("order", value) for value in ("", "up", "ASC", "asc ", 1, True, ["asc"])),
        *(("search_content", value) for value in ("x" * 101, 5, b"job", ["job"], "\ud800")),
        *(("workspace_id", value) for value in ("", True, 1.5, b"0", ["0"])),
    ],
    ids=lambda value: ascii(value)[:20],
)
def test_another_filter_is_refused(argument, given):
    refused(argument, arguments.list_query, **{argument: given})
