"""The page in a real browser: it loads nothing from elsewhere, and shows a prediction.

Skipped without selenium, Chromium and its driver, which the tests do not require
(`pip install selenium`, Debian's packages chromium and chromium-driver).
"""

import json
import os
import shutil

import pytest

pytest.importorskip('gradio')
webdriver = pytest.importorskip('selenium.webdriver')

from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

from sugrm_jax.prediction.explain import Explainer, read_examples  # noqa: E402
from tests.prediction.conftest import app_running  # noqa: E402

CHROMIUM, DRIVER = shutil.which('chromium'), shutil.which('chromedriver')
pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason='no chromium and chromedriver'
)
PATIENCE = 120  # seconds; the first prediction compiles


@pytest.fixture
def browser(tmp_path):
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (
        'headless',
        'no-sandbox',
        'disable-gpu',
        'disable-background-networking',
        'disable-component-update',
        'disable-sync',
        f'user-data-dir={tmp_path / "profile"}',
    ):
        options.add_argument(f'--{flag}')
    options.set_capability(
        'goog:loggingPrefs', {'performance': 'ALL', 'browser': 'ALL'}
    )
    service = webdriver.ChromeService(DRIVER)
    driver = webdriver.Chrome(options=options, service=service)
    yield driver
    driver.quit()


@pytest.fixture(scope='module')
def served(runs, tmp_path_factory):
    with app_running(runs('sugrm'), tmp_path_factory.mktemp('app')) as (address, _):
        yield address


def requested(browser):
    """Addresses that the page asked for."""
    for entry in browser.get_log('performance'):
        message = json.loads(entry['message'])['message']
        if message['method'] == 'Network.requestWillBeSent':
            yield message['params']['request']['url']


def waited(browser, selector):
    """The first shown element, as soon as there is one."""
    found = WebDriverWait(browser, PATIENCE).until(
        lambda b: [x for x in b.find_elements(By.CSS_SELECTOR, selector) if x.text]
    )
    return found[0]


def predict(browser):
    for button in browser.find_elements(By.CSS_SELECTOR, 'button.primary'):
        if button.is_displayed():
            button.click()


@pytest.mark.parametrize(('width', 'height'), [(1280, 1600), (390, 844)])
def test_an_example_is_explained(browser, served, predictors, width, height):
    browser.execute_cdp_cmd(
        'Emulation.setDeviceMetricsOverride',
        dict(width=width, height=height, deviceScaleFactor=1, mobile=width < 600),
    )
    browser.get(served)
    waited(browser, 'button.primary')
    predict(browser)
    cards = waited(browser, '.cards')
    predictor = predictors('sugrm')
    _, (row,) = Explainer(predictor, read_examples(predictor)).example(0)
    assert row['text'] in cards.text
    assert f'{row["m"]:+.2f}'.replace('-', '−') in cards.text
    assert len(browser.find_elements(By.CSS_SELECTOR, '.cards .track')) == 4
    assert len(browser.find_elements(By.CSS_SELECTOR, '.cards svg')) == 2
    # Nothing sticks out to the side.
    assert (
        browser.execute_script('return document.documentElement.scrollWidth') <= width
    )
    elsewhere = {
        url
        for url in requested(browser)
        if not url.startswith((served, 'data:', 'blob:', 'chrome:'))
    }
    assert not elsewhere
    if folder := os.environ.get('SUGRM_SCREENSHOTS'):
        browser.save_screenshot(f'{folder}/app_{width}.png')
