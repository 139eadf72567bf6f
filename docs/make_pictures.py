"""Makes the pictures of the documentation anew: ``python docs/make_pictures.py``.

Each is a screenshot of the real thing: the sweep of the samples is run on a service of its own, and
Chromium shows its board, the console, JupyterLab with one cell, and what commands print. It takes
some minutes, and needs ``pip install '.[local,notebook,samples]' jupyterlab playwright`` and
Chromium. Nothing is left running, and nothing is read from the user's own folders.
"""

import html
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, List

from playwright.sync_api import Browser, Page, sync_playwright

from modelarts import JobStatus, Session, VisualizationJob
from modelarts.training.job import TrainingJob

HERE = Path(__file__).resolve().parent
PICTURES = HERE / "pictures"
SAMPLES = HERE.parent / "samples"
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
#: Milliseconds.
LONG = 120_000
#: The commands of the picture of a terminal.
COMMANDS = (
    "modelarts jobs list --local",
    "modelarts jobs show learning-rates --local",
    "modelarts serve --status",
)
CELL = """\
from modelarts import Session, VisualizationJob

VisualizationJob.ensure("runs/", session=Session.local()).show(height=560)"""
#: A terminal: what is printed, in a monospaced font.
TERMINAL = """<!doctype html><style>
body { margin: 0; background: #1d1f21; color: #d8d8d4; width: fit-content; padding: 18px 24px }
pre { font: 14px/1.45 "DejaVu Sans Mono", "Liberation Mono", monospace; margin: 0 }
b { color: #8abeb7; font-weight: normal }
</style><pre>%s</pre>"""


def main() -> None:
    """Make all pictures."""
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        home = Path(folder) / "home"
        home.mkdir()
        environ = {
            **{name: text for name, text in os.environ.items() if not name.startswith("MODELARTS")},
            "HOME": str(home),
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        }
        run = [sys.executable, "-m", "modelarts"]
        service = subprocess.Popen(
            [*run, "serve"], env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--no-proxy-server"]
        )
        try:
            _wait_for(lambda: (home / ".modelarts" / "local" / "service.json").exists())
            sweep = [sys.executable, str(SAMPLES / "sweep.py"), "--steps", "120"]
            subprocess.run(sweep, env=environ, check=True, stdout=subprocess.DEVNULL)
            _make_jobs(str(home / ".modelarts" / "local"))
            _show_console(browser, [*run, "open", "--print"], environ)
            _show_terminal(browser, environ)
            _show_notebook(browser, Path(folder) / "work", environ)
        finally:
            browser.close()
            service.terminate()
            service.wait()


def _make_jobs(root: str) -> None:
    """Leave one board over all trainings, and some other jobs beside it."""
    with Session.local(root).with_api("v2") as session:
        for job in VisualizationJob.iter(session):
            job.stop().wait(JobStatus.KILLED).delete()
        trainings = list(TrainingJob.iter(session))
        VisualizationJob.create(
            training_jobs=trainings, job_name="learning-rates", auto_stop=4, session=session
        ).wait(progress=False)
        for name, number in (("baseline", 1), ("data-augmentation", 2)):
            VisualizationJob.create(
                training_jobs=trainings[:number], job_name=name, auto_stop=24, session=session
            ).wait(progress=False)
        job = VisualizationJob.create("/uploads/", job_name="last-week", session=session)
        job.wait(progress=False).stop().wait(JobStatus.KILLED)


def _show_console(browser: Browser, command: List[str], environ: Any) -> None:
    for scheme in ("light", "dark"):
        link = subprocess.run(command, env=environ, check=True, capture_output=True, text=True)
        (address,) = re.findall(r"https?://\S+", link.stdout)
        page = _page(browser, 1180, 720, scheme)
        page.goto(address)
        page.wait_for_url("**/jobs")
        page.wait_for_timeout(6000)  # memory and runs are looked up after the first page
        _save(page, "console-%s" % scheme)
        if scheme == "light":
            page.get_by_role("link", name="learning-rates").first.click()
            page.wait_for_load_state("networkidle")
            # Its frame stays empty in a picture that is larger than the window.
            page.set_viewport_size({"width": 1180, "height": 1500})
            board = page.frame_locator("iframe").first
            board.locator("scalar-card").first.wait_for(timeout=LONG)
            page.wait_for_timeout(3000)  # the curves are drawn, not only their frames
            _save(page, "console-job")
        page.context.close()


def _show_terminal(browser: Browser, environ: Any) -> None:
    lines = []
    for command in COMMANDS:
        # In a terminal, whose width tables keep to.
        inside = "stty cols 110 rows 40; NO_COLOR=1 " + command
        done = subprocess.run(
            ["script", "-qec", inside, os.devnull],
            env={**environ, "TERM": "xterm"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        text = done.stdout.replace("\r", "")
        lines.append("<b>$ %s</b>\n%s" % (command, html.escape(text)))
    page = _page(browser, 1100, 400, "light")
    page.set_content(TERMINAL % "\n".join(lines).replace(environ["HOME"], "/home/you"))
    page.locator("body").screenshot(path=str(PICTURES / "terminal.png"))
    page.context.close()


def _show_notebook(browser: Browser, folder: Path, environ: Any) -> None:
    from tensorboardX import SummaryWriter

    folder.mkdir()
    for rate in (0.1, 0.3):
        with SummaryWriter(str(folder / "runs" / ("rate-%g" % rate))) as writer:
            for step in range(200):
                writer.add_scalar("loss", (1 + step * rate) ** -0.7, step)
                writer.add_scalar("accuracy", 1 - (1 + step * rate) ** -0.4, step)
    cell = {
        "cell_type": "code",
        "execution_count": None,
        "id": "board",
        "metadata": {},
        "outputs": [],
        "source": CELL,
    }
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = {"cells": [cell], "metadata": {"kernelspec": kernel}, "nbformat": 4}
    text = json.dumps({**notebook, "nbformat_minor": 5})
    (folder / "training.ipynb").write_text(text, encoding="utf-8")
    settings = folder.parent / "settings"
    quiet = settings / "@jupyterlab" / "apputils-extension" / "notification.jupyterlab-settings"
    quiet.parent.mkdir(parents=True)
    quiet.write_text('{"fetchNews": "false", "checkForUpdates": false}', encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    lab = subprocess.Popen(
        [
            *(sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root"),
            *("--ip=127.0.0.1", "--port=%d" % port, "--IdentityProvider.token="),
            "--ServerApp.password=",
        ],
        cwd=str(folder),
        env={**environ, "JUPYTERLAB_SETTINGS_DIR": str(settings)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        address = "http://127.0.0.1:%d/lab/tree/training.ipynb?reset" % port
        _wait_for(lambda: _responds(address))
        page = _page(browser, 1440, 860, "light")
        page.goto(address)
        page.locator(".jp-Cell").first.click(timeout=LONG)
        page.wait_for_timeout(3000)  # until the kernel is connected
        page.keyboard.press("Control+Enter")
        board = page.frame_locator(".jp-OutputArea iframe").first
        board.locator("scalar-card").first.wait_for(timeout=LONG)
        page.wait_for_timeout(5000)
        _save(page, "notebook")
        page.context.close()
    finally:
        lab.terminate()
        lab.wait()


def _page(browser: Browser, width: int, height: int, scheme: Any) -> Page:
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=scheme, device_scale_factor=1
    )
    context.set_default_timeout(LONG)
    return context.new_page()


def _save(page: Page, name: str) -> None:
    page.screenshot(path=str(PICTURES / (name + ".png")))


def _responds(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=10) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _wait_for(condition: Any, seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            sys.exit("it did not come up within %d seconds" % seconds)
        time.sleep(0.1)


if __name__ == "__main__":
    main()
