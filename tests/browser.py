"""A real Chromium, driven by Playwright."""

import shutil
from contextlib import contextmanager

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


@contextmanager
def chromium():
    """Start a browser; each of its contexts is a new profile."""
    if CHROMIUM is None:
        pytest.skip("there is no Chromium")
    from playwright.sync_api import sync_playwright

    # Charts are drawn as SVG then, which costs a fraction of WebGL in software.
    options = ["--no-sandbox", "--no-proxy-server", "--disable-gpu", "--disable-3d-apis"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        yield browser
        browser.close()
