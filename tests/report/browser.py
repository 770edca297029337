"""A report opened in the system's Chromium, and what a reader does to it there."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

#: Names under which distributions install it.
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@contextmanager
def launched() -> Iterator[Any]:
    """The browser; skips the test where playwright or a system Chromium is missing."""
    playwright = pytest.importorskip("playwright.sync_api")
    found = next((path for name in CHROMIUM if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"no Chromium is installed: {', '.join(CHROMIUM)}")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@contextmanager
def opened(chromium: Any, path: Path, width: int = 1280, *, clock: bool = False, **context: Any) -> Iterator[Any]:
    """The report in a window of its own; fails on whatever the browser complains of.

    Args:
        chromium: from `launched`.
        path: report.html.
        width: of the window, in px.
        clock: let time stand still; the test moves it with ``page.clock.run_for``.
        context: how the browser is set, e.g. ``color_scheme``.
    """
    window = chromium.new_context(viewport={"width": width, "height": 900}, **({"reduced_motion": "reduce"} | context))
    page, complaints = window.new_page(), []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: request.url.startswith(("file:", "data:")) or complaints.append(request.url))
    if clock:
        page.clock.install(time=0)
    page.goto(path.as_uri())
    if clock:
        page.clock.pause_at(1000)
    page.wait_for_function("[...document.images].every(image => image.complete)")
    yield page
    assert complaints == []
    window.close()
