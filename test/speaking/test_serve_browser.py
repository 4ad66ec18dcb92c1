"""The local page in a headless browser: type, click, see and hear."""

import os
import shutil
from pathlib import Path

import pytest
import soundfile

pytest.importorskip("starlette", reason="the extra serve is not installed")
pytest.importorskip("uvicorn", reason="the extra serve is not installed")
webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is missing")

from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import Select, WebDriverWait  # noqa: E402

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
FLAGS = (
    "--headless --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync "
    "--window-size=900,1200 --autoplay-policy=no-user-gesture-required --mute-audio"
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """Chromium with an empty profile and a folder for downloads."""
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("no chromium with chromedriver (apt-get install chromium-driver)")
    downloads = tmp_path_factory.mktemp("downloads")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in FLAGS.split():
        options.add_argument(flag)
    if os.geteuid() == 0:
        options.add_argument("--no-sandbox")
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('profile')}")
    options.add_experimental_option(
        "prefs", {"download.default_directory": str(downloads)}
    )
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    driver.downloads = Path(downloads)
    yield driver
    driver.quit()


def by_id(browser, name):
    return browser.find_element(By.ID, name)


def wait(browser, condition, seconds=20):
    return WebDriverWait(browser, seconds, 0.05).until(lambda _: condition())


def open_page(browser, served):
    browser.get(served.url)
    wait(browser, lambda: len(Select(by_id(browser, "voice")).options) == 2)


def fill(browser, name, value):
    field = by_id(browser, name)
    field.clear()
    field.send_keys(value)


def speak(browser):
    by_id(browser, "speak").click()
    wait(browser, lambda: by_id(browser, "speak").is_enabled())


def test_type_click_see_hear_download(browser, served):
    open_page(browser, served)
    assert not by_id(browser, "result").is_displayed()
    fill(browser, "text", "Nobody said so. <b>Why</b>?")
    assert by_id(browser, "count").text == "27 of at most 300 characters"
    Select(by_id(browser, "voice")).select_by_visible_text("low")
    for name, value in dict(speed="0.5", num_steps="4", num_takes="2").items():
        fill(browser, name, value)
    speak(browser)
    assert by_id(browser, "error").text == ""
    assert by_id(browser, "status").text.startswith("0.5 s of speech in")
    voice = served.voices[-1]
    assert voice.loaded[0] == "low"
    assert voice.calls[-1] == (
        ["Nobody said so. <b>Why</b>?"],
        {"speed": 0.5, "num_steps": 4, "num_takes": 2},
    )
    # The sound can be played, the picture is one.
    audio, picture = by_id(browser, "audio"), by_id(browser, "picture")
    wait(browser, lambda: float(audio.get_property("duration") or 0) > 0)
    assert audio.get_property("duration") == pytest.approx(0.54, abs=0.001)
    wait(browser, lambda: audio.get_property("ended"))  # it was played
    wait(browser, lambda: picture.get_property("naturalWidth") > 500)
    assert picture.get_property("alt").startswith("Mel spectrogram of 0.5 seconds")
    cells = by_id(browser, "sentences").find_elements(By.TAG_NAME, "td")
    found = [cell.text for cell in cells]
    assert found == ["0.00", "0.54", "Nobody said so. <b>Why</b>?"]
    by_id(browser, "download").click()
    saved = browser.downloads / "speech.wav"
    wait(browser, saved.exists)
    wait(browser, lambda: saved.stat().st_size > 2 * 0.53 * 16000)
    assert soundfile.info(saved).duration == pytest.approx(0.54)
    # Nothing was asked of anyone else, nothing was blocked, no script failed.
    assert browser.get_log("browser") == []
    names = "return performance.getEntriesByType('resource').map(e => e.name)"
    addresses = browser.execute_script(names)
    assert addresses
    assert all(a.startswith((served.url, "blob:", "data:")) for a in addresses)


def test_by_keyboard_alone(browser, served):
    open_page(browser, served)
    text = browser.switch_to.active_element
    assert text.get_attribute("id") == "text"
    text.clear()
    text.send_keys("By keyboard", Keys.CONTROL, Keys.ENTER)
    wait(browser, lambda: by_id(browser, "status").text.startswith("0.1 s of speech"))
    assert served.voices[0].calls[-1] == (["By keyboard"], {"speed": 1})


def test_faults_are_shown_and_mended(browser, served):
    open_page(browser, served)
    for text, error in (
        ("\u2603", "there is no word for a snowman"),
        ("x" * 301, "the text has 301 characters, at most 300 are allowed"),
        ("   ", "there is no text"),
    ):
        fill(browser, "text", text)
        speak(browser)
        assert error in by_id(browser, "error").text
        assert by_id(browser, "status").text == ""
    fill(browser, "text", "Mended.")
    speak(browser)
    assert by_id(browser, "error").text == ""
    assert by_id(browser, "result").is_displayed()


def test_every_field_has_a_label(browser, served):
    open_page(browser, served)
    fields = browser.find_elements(By.CSS_SELECTOR, "input, select, textarea, button")
    assert len(fields) == 7
    for field in fields:
        assert field.accessible_name, field.get_attribute("id")


def test_server_that_has_gone(browser, served):
    open_page(browser, served)
    browser.execute_script(
        "window.fetch = () => Promise.reject(new TypeError('Failed to fetch'))"
    )
    speak(browser)
    assert "is it still running?" in by_id(browser, "error").text
