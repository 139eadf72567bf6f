"""A real Chromium, driven by Playwright."""

import shutil
from contextlib import contextmanager

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
#: Charts are drawn as SVG, which costs a fraction of WebGL in software; and scripts are not
#: optimized, which does not pay for pages that are open for seconds.
OPTIONS = (
    *("--no-sandbox", "--no-proxy-server", "--disable-gpu", "--disable-3d-apis"),
    "--js-flags=--no-opt",
)


@contextmanager
def chromium():
    """Start a browser; each of its contexts is a new profile."""
    if CHROMIUM is None:
        pytest.skip("there is no Chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(OPTIONS))
        yield browser
        browser.close()
