"""What a visitor sees first: a moving head, the next step, and nothing that must be scrolled to."""

import json

import pytest
from support.browsing import (
    choose,
    download,
    fill_in,
    generate,
    open_fold,
    wait_for_head,
    wait_for_transitions,
)
from support.paths import EXAMPLE

from bilabial.app.npm import NPM_FOLDER
from bilabial.rig import RigProfile
from tools.chromium import CHROMIUM

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no chromium found")
DRAWN = "Number(document.querySelector('.bilabial-canvas')?.dataset.time)"
PHONE = {"width": 390, "height": 844}


@pytest.fixture
def phone(browser, address, three):
    """The page as somebody opens it on a phone, with a head that moves."""
    with browser.new_context(viewport=PHONE, has_touch=True) as context:
        page = context.new_page()
        page.set_default_timeout(120000)
        page.goto(address)
        page.wait_for_function(f"{DRAWN} > 0.05")
        yield page


def test_the_example_moves_without_a_click_and_plays_with_one(phone):
    before = phone.evaluate(DRAWN)
    phone.wait_for_function(f"{DRAWN} !== {before}")
    assert phone.evaluate("document.querySelector('#player audio').paused")
    assert phone.inner_text(".bilabial-badge") == "Example, muted"
    phone.get_by_role("button", name="Play with sound").click()
    phone.wait_for_function("document.querySelector('#player audio').currentTime > 0.2")
    assert phone.is_hidden(".bilabial-badge") and phone.is_hidden(".bilabial-play")


def test_the_head_moves_before_the_page_is_built(browser, address, three):
    """Gradio's scripts never come here."""
    with browser.new_context(viewport=PHONE) as context:
        page = context.new_page()
        page.set_default_timeout(120000)
        page.route("**/assets/**", lambda route: route.abort())
        page.goto(address)
        page.wait_for_function(f"{DRAWN} > 0.05")
        assert page.locator("#player").count() == 0 and page.is_visible(".bilabial-canvas")


def test_the_page_takes_the_moving_head_over(phone):
    phone.wait_for_selector("#generate")
    phone.wait_for_selector("#player .bilabial-canvas")
    assert phone.locator(".bilabial-canvas").count() == 1 and phone.locator(".bilabial-opening").count() == 0
    before = phone.evaluate(DRAWN)
    phone.wait_for_function(f"{DRAWN} !== {before}")


def test_a_phone_shows_head_play_button_and_input(phone):
    for selector in (".bilabial-canvas", ".bilabial-play", "#speech", "#emotion", "#generate"):
        box = phone.locator(selector).bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= PHONE["width"], selector
        assert box["y"] >= 0 and box["y"] + box["height"] <= PHONE["height"], selector
    assert phone.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


@pytest.mark.slow
def test_who_wants_no_motion_sees_none(page, three):
    wait_for_head(page)
    page.get_by_role("button", name="Play", exact=True).wait_for()
    drawn = page.evaluate(DRAWN)
    page.wait_for_timeout(1000)
    assert page.evaluate(DRAWN) == drawn == 0


def test_generate_works_before_anything_was_uploaded(page, three):
    page.get_by_role("radio", name="happy").check()
    page.click("#generate")
    page.get_by_text("Animated the example (6.8 s)").wait_for()
    assert page.evaluate("document.querySelector('.bilabial-canvas').dataset.clips") == "1"
    assert page.errors == []


@pytest.mark.slow
def test_a_link_opens_the_page_with_its_settings(page, browser, three, address):
    page.get_by_role("radio", name="sad").check()
    open_fold(page, "Motion")
    fill_in(page.get_by_label("Smoothing (ms)").last, "40")
    page.click("#share")
    page.wait_for_function("location.search.includes('smoothing=40')")
    link = page.url
    page.goto(link)
    page.get_by_text("Animated the example").wait_for()  # at once, as the link says
    assert page.get_by_role("radio", name="sad").is_checked()
    page.goto(f"{address}/?emotion=[[0,{json.dumps({'glad': 1})}]]&fps=1e9&seed=%227%22")
    page.get_by_text("not valid and were ignored: emotion, fps").wait_for()
    assert page.get_by_role("radio", name="neutral").is_checked()
    assert page.errors == []


@pytest.mark.slow
def test_a_file_for_a_rig(page, tmp_path):
    page.click("#generate")
    page.get_by_text("Animated the example").wait_for()
    open_fold(page, "Export")
    choose(page, "Rig profile", "VRM 1.0")
    choose(page, "File format", "JSON of LAM")
    written = json.loads(download(page, "rig-file", tmp_path).read_text())
    assert set(RigProfile.load("vrm").names) == set(written["names"])
    assert page.errors == []


@pytest.mark.slow
def test_no_barriers_on_the_whole_page(page, three):
    """axe on the page with a result and all folds open, light and dark."""
    axe = NPM_FOLDER / "axe-core" / "axe.min.js"
    if not axe.is_file():
        pytest.skip("axe-core is not installed (make test does, with npm)")
    wait_for_head(page)
    generate(page, EXAMPLE)
    page.get_by_text("Animated 6.8 s of speech").wait_for()
    for fold in ("Emotion over time", "Style", "Motion", "Compare", "Export"):
        open_fold(page, fold)
    page.add_script_tag(path=axe)
    for theme in ("light", "dark"):
        page.evaluate(f"document.body.classList.toggle('dark', {json.dumps(theme == 'dark')})")
        wait_for_transitions(page)
        found = page.evaluate("async () => (await axe.run()).violations")
        assert [(one["id"], node["html"][:120]) for one in found for node in one["nodes"]] == [], theme
