"""Boards on the screen of a real browser."""

import json
import os
import shlex
import subprocess

import pytest
from tensorboardX import SummaryWriter

from modelarts.estimator import VisualizationJob
from modelarts.session import Session
from tests.support.browser import CHROMIUM, OPTIONS
from tests.support.clocks import wait_until

pytestmark = pytest.mark.local

#: The table below the chart: run, smoothed value, value, step, relative time.
ROW = "document.querySelector('scalar-card tb-data-table-content-row')?.innerText.trim()"
SETTINGS = "JSON.parse(localStorage.getItem('_tb_global_settings'))"


@pytest.fixture(scope="module", autouse=True)
def browser():
    if CHROMIUM is None:
        pytest.skip("there is no Chromium")


class Chromium:
    """A browser with a new profile.

    It reads commands of the DevTools protocol at descriptor 3 and writes answers at 4.

    Args:
        storage: False: no page may keep data, which is a choice in the browser's settings.
    """

    def __init__(self, folder, storage=True):
        (folder / "Default").mkdir(parents=True)
        settings = {"default_content_setting_values": {"cookies": 1 if storage else 2}}
        (folder / "Default" / "Preferences").write_text(json.dumps({"profile": settings}))
        reads, self._commands = os.pipe()
        self._answers, writes = os.pipe()
        options = (
            "--headless",
            "--no-first-run",
            "--remote-debugging-pipe",
            "--user-data-dir=%s" % folder,
            "--window-size=1500,1100",
            *OPTIONS,
        )
        command = "exec %s 3<&%d 4>&%d" % (shlex.join([CHROMIUM, *options]), reads, writes)
        self._process = subprocess.Popen(
            ["bash", "-c", command],
            pass_fds=(reads, writes),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(reads)
        os.close(writes)
        self._unread = b""
        self._sent = 0

    def call(self, method, page=None, **params):
        """Return the result of a command, for the browser or for one page."""
        self._sent += 1
        message = {"id": self._sent, "method": method, "params": params}
        if page is not None:
            message["sessionId"] = page
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._sent:
                return answer["result"]

    def _receive(self):
        while b"\0" not in self._unread:
            data = os.read(self._answers, 1 << 16)
            assert data, "Chromium has ended"
            self._unread += data
        message, self._unread = self._unread.split(b"\0", 1)
        return json.loads(message)

    def open(self, url, script=""):
        """Open a page in which a script runs before its own scripts."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        page = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.call("Page.enable", page)
        self.call("Page.addScriptToEvaluateOnNewDocument", page, source=script)
        self.call("Page.navigate", page, url=url)
        return page

    def close_page(self, page):
        """Close a page, which then asks for nothing any more."""
        self.call("Page.close", page)

    def evaluate(self, page, expression):
        """Return the value of an expression a moment later, or the error as a text."""
        later = (
            "new Promise(done => setTimeout(() => "
            "{ try { done(%s) } catch (error) { done(String(error)) } }, 100))" % expression
        )
        params = {"expression": later, "awaitPromise": True, "returnByValue": True}
        return self.call("Runtime.evaluate", page, **params)["result"].get("value")

    def step(self, page):
        """Return the last step of the curve on the screen; None before there is one."""
        cells = (self.evaluate(page, ROW) or "").split()
        return int(cells[3]) if len(cells) > 3 else None

    def close(self):
        self.call("Browser.close")
        self._process.wait(timeout=60)
        os.close(self._commands)
        os.close(self._answers)


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    browser = Chromium(tmp_path_factory.mktemp("chromium") / "profile")
    yield browser
    browser.close()


@pytest.fixture
def chromium_without_storage(tmp_path):
    browser = Chromium(tmp_path / "profile", storage=False)
    yield browser
    browser.close()


@pytest.fixture
def runs(tmp_path):
    write(tmp_path / "runs", [0, 1, 2])
    return tmp_path / "runs"


@pytest.fixture
def board(service, runs):
    """The address of the board of these runs."""
    with Session.local(service.root) as session:
        job = VisualizationJob.create(runs, session=session).wait()
        yield job.service_url
        job.delete()


def write(runs, steps):
    suffix = ".%d" % steps[0]
    with SummaryWriter(str(runs / "train"), filename_suffix=suffix) as writer:
        for step in steps:
            writer.add_scalar("loss", 1 / (step + 1), step)


def test_curve_grows_on_the_screen(chromium, board, runs):
    """A page that is left alone shows new points after TensorBoard's period of 30 seconds."""
    page = chromium.open(board)
    wait_until(lambda: chromium.step(page) == 2)
    write(runs, [3, 4, 5])
    wait_until(lambda: chromium.step(page) == 5)
    chromium.close_page(page)


def test_choice_not_to_reload_is_kept(chromium, board):
    chosen = json.dumps({"autoReload": False, "theme": "dark"})
    page = chromium.open(board, "localStorage.setItem('_tb_global_settings', '%s')" % chosen)
    wait_until(lambda: chromium.step(page) == 2)
    settings = chromium.evaluate(page, SETTINGS)
    assert (settings["autoReload"], settings["theme"]) == (False, "dark")
    chromium.close_page(page)


def test_board_is_shown_where_storage_is_refused(chromium_without_storage, board):
    """Without storage TensorBoard alone says that its data could not be loaded."""
    chromium = chromium_without_storage
    plain = chromium.open(board + "data/environment")
    wait_until(lambda: "SecurityError" in str(chromium.evaluate(plain, "localStorage.length")))
    page = chromium.open(board)
    wait_until(lambda: chromium.step(page) == 2)
    assert chromium.evaluate(page, SETTINGS)["autoReload"] is True
