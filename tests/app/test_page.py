"""The page: its three parts by Streamlit's own test driver, and once as a whole in a browser."""

import base64
import importlib.util

import pytest
from browser import Browser, find_chromium
from hostile import edited
from made_app import add_base, served
from made_run import fake_run

from roadstill.app.play import Wish, draw_pictures, sources_of

pytestmark = pytest.mark.skipif(importlib.util.find_spec("streamlit") is None, reason="needs the extra app")
SLOW_S = 240  # drawing and training share the machine with other tests


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    made = fake_run(tmp_path_factory.mktemp("page") / "run")
    add_base(made)
    return made


def opened(run, part):
    from streamlit.testing.v1 import AppTest

    code = f"from pathlib import Path\nfrom roadstill.app.page import show\nshow(Path({str(run)!r}), Path('run'))\n"
    page = AppTest.from_string(code, default_timeout=SLOW_S).run()
    if part != "Sets":
        page.radio(key="part").set_value(part).run()
    assert not page.exception
    return page


def texts(page):
    return "\n".join(each.proto.body for each in page.get("html"))


def test_sets_are_sifted_by_class_and_stratum(run):
    page = opened(run, "Sets")
    assert "<strong>Training part</strong>: 28 of 28 pictures, page 1 of 2" in texts(page)
    page.selectbox(key="class").select(1)
    page.selectbox(key="stratum cause").select("red_light").run()
    assert "7 of 28 pictures<" in texts(page)
    assert texts(page).count('class="rs-tile"') == 7
    page.selectbox(key="set").select("base, set 1").run()
    assert "<strong>base, set 1</strong>: 10 of 20 pictures" in texts(page)
    assert "seed 6899862650048264406" in texts(page)
    assert "nearest real frame" in texts(page)
    assert not page.exception


def test_a_page_of_a_set_is_turned(run):
    page = opened(run, "Sets")
    page.number_input[0].set_value(2).run()
    assert "page 2 of 2" in texts(page)
    assert texts(page).count('class="rs-tile"') == 4


def test_arms_stand_in_a_table_and_side_by_side(run):
    page = opened(run, "Arms")
    assert '<td class="rs-better">better</td>' in texts(page)
    page.selectbox(key="side0").select("Training part")
    page.selectbox(key="class1").select(0).run()
    assert "<strong>Training part</strong>: 28 of 28" in texts(page)
    assert ": 10 of 20 pictures" in texts(page)


def test_what_is_wrong_with_a_file_stands_on_the_page(tmp_path):
    made = fake_run(tmp_path / "run")
    edited(made / "comparison.json", lambda record: record.update(baseline=3))
    assert "comparison.json" in texts(opened(made, "Arms"))
    (made / "recipe.yaml").write_text("base: somebody/model-that-is-not-here\n")
    said = texts(opened(made, "Play"))
    assert "rs-note" in said
    assert "fetched from the hub" in said


def test_pictures_are_drawn_as_the_widgets_say(run):
    page = opened(run, "Play")
    key = "Base, before fine-tuning ema"
    page.selectbox(key=f"{key} class").select(1)
    page.slider(key="count").set_value(2)
    page.number_input(key="seed").set_value(7)
    page.slider(key=f"{key} guidance").set_value(1.5)
    page.slider(key=f"{key} steps").set_value(3)
    page.selectbox(key=f"{key} solver").select("ddim")
    page.selectbox(key=f"{key} schedule").select("spoon_cosine:2")
    page.selectbox(key=f"{key} where light").select("night").run()
    command = page.code[0].value
    assert "--per_class 2 --seed 7 --sampling.guidance 1.5 --sampling.steps 3 --sampling.solver ddim" in command
    assert "--sampling.schedule spoon_cosine:2" in command
    assert "--where '{light: night}'" in command
    assert '<div class="rs-tiles rs-drawn">' not in texts(page)
    page.button(key="draw").click().run()
    wish = Wish(1, 2, 7, 1.5, 3, "ddim", "spoon_cosine:2", {"light": "night"})
    for each in draw_pictures(sources_of(run)[0], wish):
        assert base64.b64encode(each.png).decode() in texts(page)
    assert "other settings" not in texts(page)
    page.number_input(key="seed").set_value(8).run()
    assert "These were drawn with other settings" in texts(page)


def chosen(browser, title, option):
    """Chooses an option of the selectbox of this title."""
    box = f"[...document.querySelectorAll('[data-testid=stSelectbox]')].find(e => e.innerText.startsWith('{title}'))"
    browser.wait_for(f"{box} !== undefined", SLOW_S)
    browser.click(f"{box}.querySelector('input')")
    item = f"[...document.querySelectorAll('[role=option]')].find(e => e.innerText.trim() === '{option}')"
    browser.wait_for(f"{item} !== undefined", SLOW_S)
    browser.click(item)


def turned_to(browser, part):
    label = f"[...document.querySelectorAll('label')].find(e => e.innerText.trim() === '{part}')"
    browser.wait_for(f"{label} !== undefined", SLOW_S)
    browser.click(label)


@pytest.mark.browser
@pytest.mark.skipif(find_chromium() is None, reason="needs chromium: tools/install_debian.sh installs it")
def test_in_a_browser_sets_arms_and_play_work_and_nobody_else_is_asked(run, tmp_path):
    count = "document.querySelectorAll('.rs-tile').length"
    with served(run, tmp_path) as page:
        browser = Browser(tmp_path / "profile")
        try:
            browser.open(page.address)
            browser.wait_for(f"{count} === 24", SLOW_S)
            chosen(browser, "Class", "brake")
            browser.wait_for(f"{count} === 14", SLOW_S)
            chosen(browser, "cause", "queue")
            browser.wait_for(f"{count} === 7", SLOW_S)
            turned_to(browser, "Arms")
            browser.wait_for(f"document.querySelector('.rs-arms .rs-better') && {count} === 24", SLOW_S)
            turned_to(browser, "Play")
            browser.wait_for("document.querySelector('[data-testid=stCode]')", SLOW_S)
            chosen(browser, "Class", "brake")
            chosen(browser, "light", "night")
            browser.wait_for(
                "document.querySelector('[data-testid=stCode]').innerText.includes('light: night')", SLOW_S
            )
            browser.click("[...document.querySelectorAll('button')].find(e => e.innerText.trim() === 'Draw')")
            shown = "[...document.querySelectorAll('.rs-drawn img')].filter(e => e.complete && e.naturalWidth === 8)"
            browser.wait_for(f"{shown}.length === 4", SLOW_S)
            drawn = draw_pictures(sources_of(run)[0], Wish(1, 4, 0, 4.0, 40, "ddpm", None, {"light": "night"}))
            sources = browser.ask(f"{shown}.map(e => e.src)")
            assert sources == [f"data:image/png;base64,{base64.b64encode(each.png).decode()}" for each in drawn]
            assert browser.ask("document.querySelectorAll('input[type=file]').length") == 0
            assert browser.said == []
            assert [url for url in browser.asked if not url.startswith(("data:", page.address))] == []
        finally:
            browser.close()
        assert page.stop()[:2] == (0, "stopped\n")
