"""The pages in a real Chromium, which can reach this machine alone."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from tests.chromium import chromium
from tests.pipeline.explore.dataset import SCRIPT, Finished
from tests.ports import free_port

from pairsieve.pipeline.dataset.paths import report_page, select_marker
from pairsieve.pipeline.engine.engine import Serial
from pairsieve.pipeline.learning import label_files
from pairsieve.pipeline.selections.sweep import sweep

COMMAND = [sys.executable, "-c", "from pairsieve.jobs.cli import main; main()"]
WAIT_S = 60


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    logged = {"goog:loggingPrefs": {"performance": "ALL", "browser": "ALL"}}
    with chromium("--window-size=1280,1000", **logged) as driver:
        yield driver


@pytest.fixture(scope="module")
def served(embedded: Finished) -> Iterator[str]:
    """Serve the pages as a user does; return their address."""
    port = free_port()
    words = ["explore", embedded.store.url, "--port", str(port)]
    process = subprocess.Popen([*COMMAND, *words], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    for line in process.stdout:  # what streamlit says once it listens
        if "URL:" in line:
            break
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait()
    process.stdout.close()


def _until(browser: Any, script: str, *wanted: Any) -> Any:
    """Return what a script gives in the page, once it is what is wanted, or anything at all."""
    from selenium.webdriver.support.ui import WebDriverWait

    def told(driver: Any) -> Any:
        value = driver.execute_script(f"return {script}")
        return [value] if (value in wanted if wanted else value) else False

    return WebDriverWait(browser, WAIT_S).until(told, f"not seen: {script}")[0]


def _open(browser: Any, served: str, page: str) -> None:
    """Go to one of the pages."""
    browser.get(served)
    labels = "[...document.querySelectorAll('[data-testid=stRadio] label')]"
    _until(browser, f"{labels}.find(e => e.textContent.trim() == '{page}')").click()
    heads = "[...document.querySelectorAll('h2')]"
    _until(browser, f"{heads}.some(e => e.textContent.trim() == '{page}')")


METRIC = "document.querySelector('[data-testid=stMetricValue]')?.textContent.trim()"


def test_a_slider_moved_in_the_browser_shows_what_select_keeps(
    browser: Any, served: str, embedded: Finished
) -> None:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    marker = embedded.store.marker(select_marker("default"))
    assert marker
    browser.get(served)
    _until(browser, METRIC, f"{marker.counts['kept']:,}")
    slider = _until(browser, "document.querySelector('[data-testid=stSlider] input[type=range]')")
    browser.execute_script("arguments[0].focus()", slider)
    for _ in range(3):
        ActionChains(browser).send_keys(Keys.ARROW_RIGHT).perform()
    code = "[...document.querySelectorAll('[data-testid=stCode]')].pop()?.textContent"
    said = _until(browser, f"/--set sharpness.min_sharpness=/.test({code}) && {code}")
    value = float(re.search(r"min_sharpness=([\d.]+)", said)[1])  # type: ignore[index]
    assert value > 0.3
    counted = sweep(embedded.store, Serial(), "default", "sharpness", [value])
    assert _until(browser, METRIC, f"{counted.survivors[0][0]:,}")


def test_a_script_in_a_caption_is_text(browser: Any, served: str) -> None:
    from selenium.webdriver.common.keys import Keys

    _open(browser, served, "Pair")
    field = _until(browser, "document.querySelector('input[aria-label^=\"A uid\"]')")
    field.send_keys(f"{7:032x}", Keys.ENTER)
    body = "document.body.innerText"
    assert _until(browser, f"{body}.includes({json.dumps(SCRIPT)})")
    assert _until(browser, "document.querySelector('[data-testid=stImage] img')?.naturalWidth")
    assert browser.title != "owned"


def test_a_key_marks_the_pair_and_the_label_is_kept(
    browser: Any, served: str, embedded: Finished
) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    _open(browser, served, "Label")
    assert _until(browser, "document.querySelector('[data-testid=stImage] img')?.naturalWidth")
    _until(browser, "[...document.querySelectorAll('h2')].at(-1)").click()  # out of the menu
    for marked, key in enumerate("gb", start=1):
        ActionChains(browser).send_keys(key).perform()
        assert _until(browser, METRIC, str(marked))
    given = label_files.read_all(embedded.store).values()
    assert [label.good for label in sorted(given, key=lambda one: one.when)] == [True, False]
    assert _until(browser, "document.body.innerText.includes('precision')")


def test_a_frame_in_the_map_shows_its_pictures(browser: Any, served: str) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    _open(browser, served, "Map")
    chart = "[data-testid=stVegaLiteChart] svg"
    _until(browser, f"document.querySelectorAll('{chart} .mark-symbol path').length >= 540")
    drawn = _until(browser, f"document.querySelector('{chart}')")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", drawn)
    told = "document.body.innerText.match(/([\\d,]+) pairs in the frame/)?.[1]"
    for _ in range(WAIT_S // 10):  # a chart that is still being laid out hears of no mouse
        move = ActionChains(browser).move_to_element_with_offset(drawn, -300, -220)
        move = move.click_and_hold().pause(0.2).move_by_offset(280, 210).pause(0.2)
        move.move_by_offset(280, 210).pause(0.2).release().pause(3).perform()
        if browser.execute_script(f"return {told}"):
            break
    said = _until(browser, told)
    assert 0 < int(said.replace(",", "")) <= 540
    assert _until(browser, "document.querySelectorAll('[data-testid=stImage] img').length > 0")


def test_the_page_loads_nothing_from_elsewhere(browser: Any, served: str) -> None:
    """What the tests before have asked for, and what the browser has refused to run."""
    asked = set()
    for entry in browser.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            asked.add(message["params"]["request"]["url"])
    own = f"{served}/"
    assert any(url.startswith(f"{own}media/") for url in asked)
    assert [url for url in asked if not url.startswith((own, "data:", "blob:"))] == []
    assert [e for e in browser.get_log("browser") if e["level"] == "SEVERE"] == []


def test_the_report_fits_a_telephone_and_its_contents_lead_somewhere(
    browser: Any, finished: Finished
) -> None:
    size = {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get(f"file://{finished.store.location(report_page('default'))}")
    assert browser.execute_script("return document.documentElement.scrollWidth") == 390
    rule = "document.querySelector('#funnel ~ .scroll td').getBoundingClientRect().width"
    assert browser.execute_script(f"return {rule}") >= 150
    strips = "[...document.querySelectorAll('#thresholds ~ .threshold .strip img')]"
    wide = f"{strips}.filter(e => e.naturalWidth && e.getBoundingClientRect().width).length"
    assert browser.execute_script(f"return {wide}") >= 8
    dead = "[...document.querySelectorAll('a')].filter(a => !document.querySelector(a.hash)).length"
    assert browser.execute_script(f"return {dead}") == 0
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
