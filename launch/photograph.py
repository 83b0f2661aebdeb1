"""Uses the page of `sugrm_jax.app` in Chromium: uploads a clip, predicts, photographs.

    python launch/photograph.py ADDRESS CLIP SUBTITLES OUT.png

Needs selenium, Chromium and its driver (Debian's chromium and chromium-driver).
"""

from __future__ import annotations

import pathlib
import shutil
import sys
import tempfile
import time

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

PATIENCE = 180  # seconds; the first prediction compiles
FLAGS = ('headless', 'no-sandbox', 'disable-gpu', 'disable-background-networking')


def browser(profile: str) -> webdriver.Chrome:
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which('chromium')
    for flag in (*FLAGS, 'window-size=1280,1600', f'user-data-dir={profile}'):
        options.add_argument(f'--{flag}')
    service = webdriver.ChromeService(shutil.which('chromedriver'))
    return webdriver.Chrome(options=options, service=service)


def shown(driver: webdriver.Chrome, selector: str, words: str = '') -> list:
    """Elements that can be seen and have these words."""
    found = driver.find_elements(By.CSS_SELECTOR, selector)
    return [x for x in found if x.is_displayed() and words in x.text]


def inputs(driver: webdriver.Chrome) -> list:
    """What files are given to; the page hides them behind areas to drop files on."""
    return driver.find_elements(By.CSS_SELECTOR, 'input[type=file]')


def photograph(driver: webdriver.Chrome, address: str, files: list[str]) -> bytes:
    """Uploads clip and subtitles, waits for what is predicted, and takes all of it."""
    wait = WebDriverWait(driver, PATIENCE)
    driver.get(address)
    wait.until(lambda d: shown(d, 'button[role=tab]', 'Your clip'))[0].click()
    # From the last on: an input may vanish once it has its file.
    for place, path in reversed(list(enumerate(files))):
        wait.until(lambda d, n=place: len(inputs(d)) > n)
        inputs(driver)[place].send_keys(str(pathlib.Path(path).resolve()))
        time.sleep(2)
    shown(driver, 'button.primary')[0].click()
    wait.until(lambda d: shown(d, '.cards'))
    height = driver.execute_script('return document.documentElement.scrollHeight')
    driver.set_window_size(1280, height + 100)
    time.sleep(1)
    return driver.get_screenshot_as_png()


def main() -> None:
    address, *files, out = sys.argv[1:]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        driver = browser(profile)
        try:
            pathlib.Path(out).write_bytes(photograph(driver, address, files))
        finally:
            driver.quit()


if __name__ == '__main__':
    main()
