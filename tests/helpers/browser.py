"""A headless Chromium for tests: driven through chromedriver, it tells what a page said on its console."""

import base64
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

REQUIRED = "OMNI_MSA_BROWSER"
"""With this variable set to `required`, a missing browser fails a test that would else be skipped."""


def need_browser() -> None:
    """Skip the test where there is no browser; fail it where one is required."""
    names = (("chromium", "chromium-browser", "google-chrome"), ("chromedriver",))
    if all(any(map(shutil.which, each)) for each in names):
        return
    what = "needs Chromium and chromedriver (Debian: chromium, chromium-driver)"
    if os.environ.get(REQUIRED) == "required":
        pytest.fail(f"{what}; {REQUIRED} is set to required")
    pytest.skip(what)


@contextmanager
def open_browser(scratch: Path, dark: bool = False) -> Iterator["Browser"]:
    """Start a browser, and end it with all its processes.

    Args:
        scratch: its profile goes here.
        dark: people who look at it prefer dark pages.
    """
    from selenium import webdriver

    need_browser()
    options = webdriver.ChromeOptions()
    options.binary_location = next(
        path for path in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if path
    )
    for argument in (
        *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--mute-audio"),
        *("--no-first-run", "--disable-background-networking", "--disable-component-update", "--hide-scrollbars"),
        f"--user-data-dir={scratch / 'profile'}",
        *(["--blink-settings=preferredColorScheme=0"] if dark else []),
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    driver = webdriver.Chrome(options=options, service=service)
    driver.set_script_timeout(180)  # the machine may be busy
    try:
        yield Browser(driver)
    finally:
        driver.quit()


class Browser:
    """A page in a browser."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def open(self, address: str | Path, width_px: int = 1280, height_px: int = 900) -> None:
        """Load a page in a window of some size, with nothing in its logs from before."""
        self.resize(width_px, height_px)
        for kind in ("browser", "performance"):
            self.driver.get_log(kind)
        self.driver.get(address if isinstance(address, str) else address.as_uri())

    def resize(self, width_px: int, height_px: int = 900) -> None:
        """Show the page at some width, also one below the least of a window."""
        metrics = {"width": width_px, "height": height_px, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def run(self, script: str, *arguments: Any) -> Any:
        """Return what a script returns (a promise is awaited)."""
        return self.driver.execute_script(script, *arguments)

    def console(self) -> list[str]:
        """Return what was said on the console at level warning or above, since it was last asked for."""
        entries = self.driver.get_log("browser")
        return [f"{entry['level']}: {entry['message']}" for entry in entries if entry["level"] in ("WARNING", "SEVERE")]

    def requests(self) -> list[str]:
        """Return the addresses that were asked for since this was last asked, those inside the page left out."""
        import json

        messages = (json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance"))
        sent = (one["params"]["request"]["url"] for one in messages if one["method"] == "Network.requestWillBeSent")
        return [address for address in sent if not address.startswith("data:")]

    def find(self, selector: str) -> Any:
        """Return the first element that fits a CSS selector."""
        return self.driver.find_element("css selector", selector)

    def screenshot(self, path: Path) -> None:
        """Save the whole page, from top to bottom, as PNG."""
        taken = self.driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, **self._area()})
        path.write_bytes(base64.b64decode(taken["data"]))

    def _area(self) -> dict[str, Any]:
        size = self.driver.execute_cdp_cmd("Page.getLayoutMetrics", {})["cssContentSize"]
        return {"clip": {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}}

    def print_pdf(self, path: Path) -> None:
        """Print the page as PDF, as a reader would, with the page's own paper sizes."""
        options = {"preferCSSPageSize": True, "printBackground": True}
        printed = self.driver.execute_cdp_cmd("Page.printToPDF", options)
        path.write_bytes(base64.b64decode(printed["data"]))
