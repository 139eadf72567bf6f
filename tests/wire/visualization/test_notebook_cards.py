"""How jobs look: the card, the table, the data frame, and where a browser finds a board."""

import pickle
import re
import sys

import pytest

from modelarts.errors import ConfigurationError
from modelarts.estimator import JobStatus, VisualizationJob
from modelarts.session import Session
from modelarts.visualization.display.board_url import board_address
from modelarts.visualization.display.lists import JobList
from modelarts.visualization.display.text import span

pytestmark = pytest.mark.local

_SCRIPT = "<script>alert(1)</script>"
_BOARD = "http://127.0.0.1:6006/modelarts/tensorboard/%s/5/" % ("0a" * 16)


@pytest.fixture
def session(cloud, clock):
    names = ("access_key", "secret_key", "project_id", "region_name", "modelarts_endpoint")
    return Session(**{name: getattr(cloud, name) for name in names}, clock=clock, retries=0)


def made(session, **fields):
    """A job as a list answers it."""
    return VisualizationJob._of(
        session, {"job_id": 5, "job_name": "n", "status": 8, "service_url": _BOARD, **fields}
    )


# The card ---------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["job_name", "job_desc", "train_url", "reason", "service_url"])
def test_nothing_that_a_service_says_becomes_html(session, field):
    said = 'https://x.example/"onclick="alert(1)' + _SCRIPT
    job = made(session, **{field: said})
    for html in (job._repr_html_(), JobList([job])._repr_html_()):
        assert _SCRIPT not in html
        assert 'onclick="' not in html


@pytest.mark.parametrize(
    "address", ["javascript:alert(1)", "data:text/html,x", "//[", "//x.example/y", ""]
)
def test_only_an_address_of_the_web_is_linked(session, address):
    job = made(session, service_url=address)
    assert "<a " not in job._repr_html_()
    assert "<a " in made(session)._repr_html_()


@pytest.mark.parametrize("status", [*JobStatus, 99, "8", None, "nonsense"])
def test_card_words_status_and_links_running(session, status):
    """A card says each status as a word and only a running board is linked."""
    html = made(session, status=status)._repr_html_()
    known = status in [*JobStatus, 99, "8"]
    assert (JobStatus(int(status)).name if known else "not asked yet") in html
    assert ("<a " in html) == (known and int(status) == 8)


@pytest.mark.parametrize("status", [*JobStatus, 99])
def test_the_word_can_be_read_on_its_colour_in_any_theme(session, status):
    html = made(session, status=status)._repr_html_()
    (colour,) = re.findall("background-color: #([0-9a-f]{6})", html)
    assert "color: #ffffff" in html
    # The least that the W3C asks of text (WCAG 2, criterion 1.4.3).
    assert 1.05 / (_luminance(colour) + 0.05) >= 4.5


def _luminance(colour):
    shares = [int(colour[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]
    return sum(part * weight for part, weight in zip(linear, (0.2126, 0.7152, 0.0722)))


def test_heads_and_links_say_what_they_are_of_when_read_aloud(session):
    job = made(session, job_name="nightly")
    for html in (job._repr_html_(), JobList([job])._repr_html_()):
        assert html.count("<th ") == html.count("<th scope=") > 0
        assert re.search(r'aria-label="open the board of job \d+ \(nightly\)"', html)


def test_a_card_says_what_is_left_of_the_time_and_when_that_was(session, clock):
    html = made(session, remaining_duration=7_080_000, duration=120_000)._repr_html_()
    assert ">1 h 58 min<" in html
    assert ">2 min<" in html
    assert VisualizationJob._of(session, {}).last_seen.timestamp() == clock.now
    assert "stops in" not in made(session, status=12, remaining_duration=0)._repr_html_()
    assert "2 h, once it runs" in made(session, schedule=[{"duration": 2}])._repr_html_()
    assert "ran for" in made(session, status=12, duration=120_000)._repr_html_()


def test_showing_a_job_or_a_list_asks_the_service_nothing(session, cloud):
    job = VisualizationJob.create("/bucket/logs/", session=session)
    jobs = VisualizationJob.list(session)
    stopped = jobs[0].stop()
    asked = len(cloud.calls)
    for each in (job, stopped, VisualizationJob(session, 7), VisualizationJob(session)):
        assert each._repr_html_().startswith("<div")
        assert repr(each).startswith("VisualizationJob(")
    assert "101" in str(jobs)
    assert jobs._repr_html_()
    assert jobs.to_dataframe().index.tolist() == ["101"]
    assert len(cloud.calls) == asked


def test_a_pickled_job_knows_when_it_was_seen(session, clock):
    again = pickle.loads(pickle.dumps(made(session)))
    assert again.last_seen.timestamp() == clock.now
    old = VisualizationJob.__new__(VisualizationJob)
    old.__setstate__({"id": "5", "raw": {}, "state": 0})
    assert old.last_seen is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0 s"),
        (0.9, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (61, "1 min 1 s"),
        (3600, "1 h"),
        (3605, "1 h"),
        (7199, "1 h 59 min"),
        (90000, "1 d 1 h"),
    ],
)
def test_a_time_span_is_said_by_its_two_largest_units(seconds, text):
    assert span(seconds) == text


# The list ---------------------------------------------------------------------------------


def test_a_list_is_a_list_and_prints_as_a_table(session, cloud):
    for status in (8, 12):
        cloud.add(status=status)
    jobs = VisualizationJob.list(session)
    documented = VisualizationJob.get_visualization_job_object_list(session, is_show=False)
    for each in (jobs, documented, pickle.loads(pickle.dumps(jobs))):
        assert isinstance(each, list)
        assert [job.job_id for job in each] == ["101", "102"]
        lines = str(each).splitlines()
        assert lines[0].split() == [
            "ID",
            "NAME",
            "STATUS",
            "CREATED",
            "TRAIN",
            "URL",
            "DESCRIPTION",
        ]
        assert lines[1].split()[:3] == ["101", "job101", "RUNNING"]
        assert lines[2].split()[:3] == ["102", "job102", "KILLED"]
    assert jobs[1:] == [jobs[1]]


def test_columns_fit_cells_and_keep_dates(session, cloud):
    """Columns are as wide as their cells and dates are not broken in two."""
    cloud.add()
    html = VisualizationJob.list(session)._repr_html_()
    assert "table-layout: auto" in html  # JupyterLab has 'fixed', for all tables
    (cell,) = re.findall(r'<td style="([^"]*)">20\d\d-', html)
    assert "white-space: nowrap" in cell


def test_an_empty_list_prints_and_shows_as_one(session, cloud):
    jobs = VisualizationJob.list(session)
    assert repr(jobs) == "[]"
    assert jobs == []
    assert "0 jobs" in jobs._repr_html_()
    assert jobs.to_dataframe().empty


def test_long_list_shows_first_jobs_and_count(session, cloud):
    for _ in range(250):
        cloud.add()
    jobs = VisualizationJob.list(session)
    assert str(jobs).splitlines()[-1] == "… and 150 more; to_dataframe() has all"
    assert jobs._repr_html_().count("<tr>") == 101
    assert "250 jobs, of which the first 100 are shown" in jobs._repr_html_()
    assert len(jobs.to_dataframe()) == 250


def test_a_data_frame_has_types_that_can_be_sorted(session, cloud):
    cloud.add(status=12, job_desc="b", duration="1000")
    cloud.add(status=8, job_desc="a", duration=None, remaining_duration=60_000)
    frame = VisualizationJob.list(session).to_dataframe()
    assert frame.sort_values("job_desc").index.tolist() == ["102", "101"]
    assert frame.loc["101", "status"] == "KILLED"
    assert frame.loc["101", "duration"].total_seconds() == 1
    assert frame.loc["102", "remaining"].total_seconds() == 60
    assert frame["duration"].isna().tolist() == [False, True]
    assert frame["created"].dt.year.tolist() == [2019, 2019]


def test_without_pandas_the_error_says_what_to_install(session, cloud, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'modelarts\[notebook\]'"):
        VisualizationJob.list(session).to_dataframe()


# Where a browser finds a board ------------------------------------------------------------


@pytest.mark.parametrize(
    "service_url",
    [
        "https://modelarts.cn-north-4.example.com/modelarts/tensorboard/0a/5/",
        "https://10.0.0.7:8443/modelarts/tensorboard/0a/5/",
        "http://127.0.0.1:nonsense/",
        "",
    ],
)
def test_a_board_that_is_not_on_this_machine_has_its_own_address(service_url):
    environ = {"TENSORBOARD_PROXY_URL": "/proxy/%PORT%/", "JUPYTERHUB_SERVICE_PREFIX": "/user/a/"}
    assert board_address(service_url, environ) == service_url


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
@pytest.mark.parametrize(
    ("environ", "before"),
    [
        ({"TENSORBOARD_PROXY_URL": "/proxy/%PORT%/"}, "/proxy/6006"),
        ({"TENSORBOARD_PROXY_URL": "https://hub.example/p/%PORT%"}, "https://hub.example/p/6006"),
        ({"TENSORBOARD_PROXY_URL": "https://6006.example.com/"}, "https://6006.example.com"),
        ({"JUPYTERHUB_SERVICE_PREFIX": "/user/ann/"}, "/user/ann/proxy/6006"),
        (
            {"JUPYTERHUB_SERVICE_PREFIX": "/user/a/", "TENSORBOARD_PROXY_URL": "/own/%PORT%"},
            "/own/6006",
        ),
    ],
)
def test_loopback_board_is_reached_by_proxy(host, environ, before):
    """A board on loopback is reached by way of what stands in front."""
    path = "/modelarts/tensorboard/0a/5/"
    assert board_address("http://%s:6006%s" % (host, path), environ) == before + path


@pytest.mark.parametrize("content", ['{"base_url": "/lab/", "token": "t"}', "{}", "[", None])
def test_the_server_of_the_kernel_is_found_by_its_process(tmp_path, monkeypatch, content):
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path))
    if content is not None:
        (tmp_path / "jpserver-77.json").write_text(content)
    found = board_address(_BOARD, {"JPY_PARENT_PID": "77"})
    served = content is not None and len(content) > 2
    assert found == (
        _BOARD.replace("http://127.0.0.1:6006", "/lab/proxy/6006") if served else _BOARD
    )
    assert board_address(_BOARD, {"JPY_PARENT_PID": "78"}) == _BOARD
    assert board_address(_BOARD, {"JPY_PARENT_PID": "../77"}) == _BOARD
