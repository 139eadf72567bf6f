"""Jobs in a real Jupyter kernel, and behind a real Jupyter server."""

import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import ExitStack, suppress
from pathlib import Path
from queue import Empty
from urllib.parse import urljoin, urlsplit

import pytest
import requests

from modelarts._internal.clock import Clock
from modelarts.local.server.control import stop
from tests.servers.service import SECRETS

pytestmark = pytest.mark.local

_SCRIPT = "<script>alert(1)</script>"
_BEGIN = """
from modelarts.errors import WaitTimeout
from modelarts.estimator import JobStatus, VisualizationJob
from modelarts.session import Session
session = Session.local(%r)
"""
_JOB = """
job = VisualizationJob.create(
    "/bucket/notebook/", job_name="in-a-notebook", job_desc=%r, auto_stop=2, session=session
)
job.wait(progress=False)
"""


class Notebook:
    """A notebook without a screen; its kernel has the environment of the test that makes it."""

    def __init__(self, started):
        import nbformat  # takes seconds, in each process that collects the tests
        from nbclient import NotebookClient

        self._format = nbformat
        self._notebook = nbformat.v4.new_notebook()
        self._client = NotebookClient(self._notebook, timeout=120, kernel_name="python3")
        started.enter_context(self._client.setup_kernel())

    def run(self, *sources):
        """Execute cells; answers what is below each of them."""
        first = len(self._notebook.cells)
        self._notebook.cells += map(self._format.v4.new_code_cell, sources)
        for number in range(first, len(self._notebook.cells)):
            self._client.execute_cell(self._notebook.cells[number], number)
        saved = self._format.writes(self._notebook)
        assert not [secret for secret in SECRETS if secret in saved]
        return [cell.outputs for cell in self._notebook.cells[first:]]


@pytest.fixture(scope="module")
def started():
    """Servers that tests of this module share; the first one that needs it starts each."""
    with ExitStack() as stack:
        stack.by_name = {}
        yield stack


@pytest.fixture
def run(service, started):
    """Executes cells in a notebook with a session and a job."""
    if "notebook" not in started.by_name:
        started.by_name["notebook"] = Notebook(started)

    def run(*cells):
        sources = [_BEGIN % str(service.root), _JOB % _SCRIPT, *cells, "job.delete(); None"]
        return started.by_name["notebook"].run(*sources)[2:-1]

    return run


def test_a_notebook_shows_the_card_the_list_and_the_board(run):
    below = run(
        "job",
        "VisualizationJob.list(session, search_content='in-a-notebook')",
        "job.show(height=640)",
        "print(job.service_url)",
        "VisualizationJob.list(session).to_dataframe()[['job_name', 'status']]",
    )
    (card,), (table,), (board,), (said,), (frame,) = below
    address = said["text"].strip()

    html = card["data"]["text/html"]
    for shown in ("in-a-notebook", ">RUNNING<", 'href="%s"' % address, "1 h 59 min", "stops in"):
        assert shown in html
    assert "VisualizationJob(" in card["data"]["text/plain"]

    html = table["data"]["text/html"]
    assert html.count("<tr>") == 2
    assert 'href="%s"' % address in html
    assert table["data"]["text/plain"].startswith("ID ")

    html = board["data"]["text/html"]
    assert '<iframe src="%s"' % address in html
    assert 'height="640"' in html
    assert board["data"]["text/plain"] == "board: %s" % address

    assert "RUNNING" in frame["data"]["text/html"]
    pages = [output["data"].get("text/html", "") for output in (card, table, board)]
    assert _SCRIPT not in "".join(pages)
    assert [page.count("&lt;script&gt;alert(1)&lt;/script&gt;") for page in pages] == [1, 1, 0]


def test_a_wait_leaves_one_line(run):
    ((line,),) = run(
        """
try:
    job.wait(until=JobStatus.KILLED, timeout=3)  # longer than its first look takes
except WaitTimeout:
    pass
""",
    )
    assert re.fullmatch(
        r"job \d+ \(in-a-notebook\): RUNNING after \d+ s", line["data"]["text/plain"]
    )
    assert line["output_type"] == "display_data"


def test_a_wait_that_needs_no_waiting_shows_nothing(run):
    ((),) = run("job.wait(); None")


def test_stopped_job_is_not_shown_but_advised(run):
    """A job that was stopped is not shown but said how to restart."""
    ((said,),) = run(
        """
job.stop().wait(until=JobStatus.KILLED, progress=False)
try:
    job.show()
except Exception as error:
    print(type(error).__name__, error)
job.restart().wait(progress=False); None
""",
    )
    assert said["text"].startswith("JobFailed job ")
    assert "is KILLED (12) and will not become RUNNING; job.restart() runs it again" in said["text"]


def test_open_links_without_browser(run, service):
    _, (link, answer), _ = run(
        "import os; known = dict(os.environ)",
        "os.environ.update(BROWSER='no-such-browser', PATH=''); job.open()",
        "os.environ.clear(); os.environ.update(known)",
    )
    address = answer["data"]["text/plain"].strip("'")
    assert address.startswith(service.connection["modelarts_endpoint"])
    assert 'href="%s"' % address in link["data"]["text/html"]


def test_a_template_tells_how_the_browser_gets_to_the_board(run, service):
    (board,), _ = run(
        """
import os
os.environ["TENSORBOARD_PROXY_URL"] = "https://hub.example.com/user/ann/proxy/%PORT%/"
job.show()
""",
        'del os.environ["TENSORBOARD_PROXY_URL"]',
    )
    port = urlsplit(service.connection["modelarts_endpoint"]).port
    address = "https://hub.example.com/user/ann/proxy/%d/modelarts/tensorboard/" % port
    assert '<iframe src="%s' % address in board["data"]["text/html"]


def test_magic_shows_board_and_reuses_job(run, service):
    """The magic shows the board of a folder and takes the same job again."""
    loaded, first, second, wrong = run(
        "%load_ext modelarts",
        "%%modelarts_board /bucket/notebook/ --local %s --height 300" % service.root,
        "%%modelarts_board obs://bucket/notebook --local %s" % service.root,
        """
try:
    get_ipython().run_line_magic("modelarts_board", "--height tall")
except Exception as error:
    print(type(error).__name__, error)
""",
    )
    assert loaded == []
    boards = [output["data"]["text/plain"] for outputs in (first, second) for output in outputs]
    assert len(boards) == 2
    assert boards[0] == boards[1]
    assert 'height="300"' in first[0]["data"]["text/html"]
    assert wrong[0]["text"].startswith("UsageError argument --height: invalid int value")
    assert "usage: %modelarts_board" in wrong[0]["text"]


# What goes on between the kernel and the server ------------------------------------------


class Kernel:
    """Executes code and answers the data of what is displayed."""

    def __init__(self, client):
        self.client = client
        client.start_channels()
        for _ in range(60):
            # Until its answers are heard: a kernel that starts is slow, and not dead.
            client.kernel_info()
            with suppress(Empty):
                client.get_iopub_msg(timeout=1)
                break

    def run(self, code, on_output=lambda: None):
        shown = []

        def hook(message):
            kind, content = message["msg_type"], message["content"]
            if kind in ("display_data", "execute_result", "stream"):
                shown.append(content.get("data", content))
                on_output()

        answer = self.client.execute_interactive(code, output_hook=hook, timeout=120)
        return answer["content"], shown

    def close(self):
        self.client.stop_channels()


def test_interrupt_ends_only_the_wait(service):
    """An interrupt ends the wait and harms neither the job nor the object."""
    from jupyter_client import KernelManager

    manager = KernelManager(kernel_name="python3")
    manager.start_kernel()
    kernel = Kernel(manager.client())
    try:
        for code in (_BEGIN % str(service.root), _JOB % ""):
            assert kernel.run(code)[0]["status"] == "ok"
        said, _ = kernel.run("job.wait(JobStatus.KILLED)", on_output=manager.interrupt_kernel)
        assert said["ename"] == "KeyboardInterrupt"
        said, shown = kernel.run("print(job.status.name, job.refresh().status.name); job.delete()")
        assert said["status"] == "ok"
        assert shown[0]["text"] == "RUNNING RUNNING\n"
    finally:
        kernel.close()
        manager.shutdown_kernel(now=True)


_SERVER = """
import sys
sys.modules["rfc3987_syntax"] = None  # see conftest.py
from jupyter_server.serverapp import ServerApp
server = ServerApp()
server.initialize(sys.argv[1:])
# It is bound by a callback that initialize() has left.
server.io_loop.add_callback(lambda: print(server.port, flush=True))
server.start()
"""


class JupyterServer:
    """A Jupyter server under a path, as a hub starts one, and with what a hub has it know."""

    token = "token-of-the-jupyter-server"

    def __init__(self, folder):
        self.runtime = folder / "runtime"
        self.prefix = "/user/ann/"
        settings = {
            "ServerApp.base_url": self.prefix,
            "ServerApp.allow_remote_access": True,
            "ServerApp.allow_root": True,
            "ServerApp.open_browser": False,
            "ServerApp.root_dir": folder,
            "IdentityProvider.token": self.token,
        }
        self.process = subprocess.Popen(
            [sys.executable, "-c", _SERVER, *("--%s=%s" % each for each in settings.items())],
            env={
                **os.environ,
                "JUPYTER_RUNTIME_DIR": str(self.runtime),
                "JUPYTERHUB_SERVICE_PREFIX": self.prefix,
            },
            stdout=subprocess.PIPE,
            text=True,
        )
        self.origin = "http://127.0.0.1:%d" % int(self.process.stdout.readline())

    def call(self, path, data=None, **headers):
        """Fetch from the server; answers status and body."""
        headers["Authorization"] = "token " + self.token
        request = urllib.request.Request(self.origin + path, data=data, headers=headers)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=60) as answer:
            return answer.status, answer.read().decode()

    def kernel(self):
        _, body = self.call("/user/ann/api/kernels", data=b"{}")
        from jupyter_client import BlockingKernelClient

        client = BlockingKernelClient()
        client.load_connection_file(str(self.runtime / ("kernel-%s.json" % json.loads(body)["id"])))
        return Kernel(client)

    def close(self):
        self.process.terminate()
        self.process.communicate(timeout=60)


@pytest.fixture
def jupyter(started, tmp_path):
    if "jupyter" not in started.by_name:
        started.by_name["jupyter"] = JupyterServer(tmp_path)
        started.callback(started.by_name["jupyter"].close)
    return started.by_name["jupyter"]


def test_board_is_reached_through_jupyter_server(jupyter, tmp_path):
    """A board is reached through the jupyter server of the notebook."""
    kernel = jupyter.kernel()
    root = tmp_path / "root"
    try:
        for code in (_BEGIN % str(root), _JOB % ""):
            assert kernel.run(code)[0]["status"] == "ok"
        _, (board,) = kernel.run("job.show()")
        src = re.search(r'<iframe src="([^"]+)"', board["text/html"]).group(1)
        connection = json.loads((root / "service.json").read_text())
        port = urlsplit(connection["modelarts_endpoint"]).port
        assert src.startswith("/user/ann/proxy/%d/modelarts/tensorboard/" % port)
        assert jupyter.token not in json.dumps(board)

        status, page = jupyter.call(src)
        assert status == 200
        assert "<title>TensorBoard</title>" in page
        # A hub's name is none of the local service's; the browser names it all the same.
        status, answer = jupyter.call(src + "data/environment", Host="hub.example.com")
        assert status == 200
        assert Path(json.loads(answer)["data_location"]).name == "notebook"
        with pytest.raises(urllib.error.HTTPError) as refused:
            jupyter.call("/user/ann/proxy/%d/v3" % port, Host="hub.example.com")
        assert (refused.value.code, b"MODELARTS_ALLOW_HOST" in refused.value.read()) == (421, True)

        _, shown = kernel.run("job.open()")
        assert shown[1]["text/plain"] == repr(src)
    finally:
        stop(root, Clock())
        kernel.close()


def test_console_is_reached_through_jupyter_server(jupyter, tmp_path):
    """By the path that the command prints in a terminal of the server: pages, forms, the cookie."""
    kernel = jupyter.kernel()
    root = tmp_path / "root"
    try:
        assert kernel.run(_BEGIN % str(root))[0]["status"] == "ok"
        opening = "from modelarts.cli import main; main(['open', '--print', '--root', %r])"
        _, shown = kernel.run(opening % str(root))
        found = re.search(r"/user/ann/proxy/\d+/console/sign-in\?key=\S+", shown[0]["text"])
        link = found.group()
        with requests.Session() as browser:
            browser.trust_env = False
            browser.headers["Authorization"] = "token " + jupyter.token
            assert browser.get(jupyter.origin + link).ok
            console = link.partition("sign-in")[0]
            paths = [each.path for each in browser.cookies if each.name.startswith("modelarts-")]
            assert paths == [console.rstrip("/")]
            page = browser.get(jupyter.origin + console)
            assert "<h1>Jobs</h1>" in page.text
            style = re.search(r'<link rel="stylesheet" href="([^"]+)"', page.text).group(1)
            assert (
                browser.get(urljoin(page.url, style)).headers["Content-Type"].startswith("text/css")
            )
            token = re.search(r'data-token="([^"]+)"', page.text).group(1)
            form = {"token": token, "folder": "/bucket/notebook/", "name": "by-form"}
            headers = {"Origin": jupyter.origin, "Sec-Fetch-Site": "same-origin"}
            made = browser.post(page.url + "/new", data=form, headers=headers)
            assert made.url.startswith(page.url + "/1?done=created")
            headers["Origin"] = "https://evil.example"
            assert browser.post(page.url + "/1/stop", data=form, headers=headers).status_code == 403
    finally:
        stop(root, Clock())
        kernel.close()
