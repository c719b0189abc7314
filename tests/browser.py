"""A real headless Chromium for tests of pages; skipped where there is none."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


class Browser:
    """A page opened, and what a test asks of it."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def open(self, url: str, width: int = 1200) -> None:
        """Opens a page in a window of that width, in pixels, and forgets what was logged before."""
        self.driver.get("about:blank")
        self.requests()
        self.complaints()
        metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        self.driver.get(url)

    def run(self, script: str, *arguments: Any) -> Any:
        """What a script returns."""
        return self.driver.execute_script(script, *arguments)

    def texts(self, selector: str) -> list[str]:
        """The texts of the elements that fit."""
        return list(
            self.run(
                "return [...document.querySelectorAll(arguments[0])].map((it) => it.textContent)", selector
            )
        )

    def set(self, selector: str, value: str) -> None:
        """Types into a field, or picks an option."""
        self.run(
            "const box = document.querySelector(arguments[0]); box.value = arguments[1];"
            "box.dispatchEvent(new Event(box.tagName === 'SELECT' ? 'change' : 'input'))",
            selector,
            value,
        )

    def wait_for(self, selector: str) -> None:
        """Until there is such an element, at most 10 seconds."""
        from selenium.webdriver.support.ui import WebDriverWait

        WebDriverWait(self.driver, 10, poll_frequency=0.05).until(lambda _: self.texts(selector))

    def overflow(self) -> int:
        """Pixels by which the page is wider than its window."""
        return int(self.run("return document.documentElement.scrollWidth - innerWidth"))

    def requests(self) -> list[str]:
        """Addresses asked for since the last call."""
        messages = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        return [
            message["params"]["request"]["url"]
            for message in messages
            if message["method"] == "Network.requestWillBeSent"
        ]

    def complaints(self) -> list[str]:
        """Messages of the console since the last call."""
        return [entry["message"] for entry in self.driver.get_log("browser")]


Kind = TypeVar("Kind", bound=Browser)


@contextmanager
def chromium(profile: Path, kind: type[Kind], *flags: str) -> Iterator[Kind]:
    """Starts one with a profile of its own, as `Browser` or a kind of it."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    from selenium.webdriver.chrome.service import Service

    binary, server = shutil.which("chromium"), shutil.which("chromedriver")
    if binary is None or server is None:
        pytest.skip("chromium and chromedriver are not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for flag in (*FLAGS, *flags, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(server))
    try:
        yield kind(driver)
    finally:
        driver.quit()
