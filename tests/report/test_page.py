"""The page in a browser: silent, by itself, legible at any width, with and without its script."""

import json
import shutil
import subprocess
import tarfile

import numpy as np
import pytest
from browser import Browser, find_chromium
from made_run import fake_comparison, fake_run

from roadstill.report import write_report
from roadstill.runs import write_json

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(find_chromium() is None, reason="needs chromium: tools/install_debian.sh installs it"),
]
AXE = "axe-core@4.11.0"  # MPL-2.0: fetched for the test, never kept here


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    opened = Browser(tmp_path_factory.mktemp("profile"))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    run = fake_run(tmp_path_factory.mktemp("runs") / "demo")
    for place, budget in enumerate((10, 50)):  # several budgets: a learning curve and parts that fold
        found = fake_comparison(np.random.default_rng(place))
        found["about"]["per_class"] = {name: None if name == "full" else budget for name in found["arms"]}
        found["verdicts"]["base"]["seeds"] = [0, 1, 2]
        write_json(run / f"comparison-{budget}.json", found)
    (run / "comparison.json").unlink()
    return write_report(run)


@pytest.mark.parametrize("scripts", [True, False])
@pytest.mark.parametrize("width", [1280, 390])
def test_it_is_silent_and_asks_nobody_and_fits(browser, page, width, scripts):
    browser.open(page, width=width, scripts=scripts)
    assert browser.said == []
    assert browser.asked == []
    assert browser.ask("[innerWidth, document.documentElement.scrollWidth]") == [width, width]


def test_a_script_that_is_not_its_own_does_not_run(browser, page, tmp_path):
    other = tmp_path / "report.html"
    injected = "<script>document.title = 'taken'</script><img src='https://example.org/a.png'>"
    other.write_text(page.read_text().replace("<main>", f"<main>{injected}"))
    browser.open(other)
    assert browser.ask("document.title") != "taken"
    assert len([line for line in browser.said if "Content Security Policy" in line]) == 2


def test_the_verdict_is_in_sight_on_a_phone_wherever_the_table_is_scrolled(browser, page):
    browser.open(page, width=390, height=844)
    places = """[...document.querySelectorAll('#arms tbody .word')].map(each => {
        const box = each.getBoundingClientRect();
        return [box.left, box.right];
    })"""
    before = browser.ask(places)
    browser.ask("document.querySelector('#arms').parentNode.scrollLeft = 300")
    assert browser.ask("document.querySelector('#arms').parentNode.scrollLeft") == 300
    assert browser.ask(places) == before
    assert all(0 <= left < right <= 390 for left, right in before)
    assert browser.ask("getComputedStyle(document.querySelector('.hint')).display") == "block"


def test_a_table_without_more_to_show_does_not_claim_to_scroll(browser, page):
    browser.open(page, width=1280)
    shown = """[...document.querySelectorAll('.hint')].filter(each => each.offsetParent).map(each => {
        const box = each.nextElementSibling;
        return box.scrollWidth > box.clientWidth;
    })"""
    assert all(browser.ask(shown))


def test_columns_sort_up_and_down_and_back(browser, page):
    browser.open(page)
    first = "[...document.querySelectorAll('#arms tbody tr')].map(row => row.cells[2].dataset.v)"
    click = "document.querySelectorAll('#arms .sort')[2].click()"
    before = browser.ask(first)
    found = []
    for _ in range(3):
        browser.ask(click)
        found.append((browser.ask("document.querySelectorAll('#arms th')[2].ariaSort"), browser.ask(first)))
    ordered = sorted(before, key=float)
    assert found == [("descending", ordered[::-1]), ("ascending", ordered), (None, before)]
    # What has no value stands last either way.
    browser.ask("document.querySelectorAll('#arms .sort')[1].click()")
    assert browser.ask("document.querySelector('#arms tbody tr:last-child').cells[1].dataset.v") == ""


def test_rows_and_failures_are_filtered(browser, page):
    browser.open(page)
    browser.ask("""(() => {
        const field = document.querySelector('.tools input');
        field.value = 'lora better';
        field.dispatchEvent(new Event('input'));
    })()""")
    shown = "[...document.querySelectorAll('#arms tbody tr')].filter(row => !row.hidden).map(row => row.textContent)"
    rows = browser.ask(shown)
    assert len(rows) == 2
    assert all("DiffFit + LoRA" in row and "better" in row for row in rows)
    assert browser.ask("document.querySelector('.tools [role=status]').textContent") == "2 of 9"
    browser.ask("""(() => {
        const choice = document.querySelector('.tools select');
        choice.value = 'arm0';
        choice.dispatchEvent(new Event('input'));
    })()""")
    marks = "[...document.querySelectorAll('#failed .tile')].filter(t => !t.hidden).map(t => t.dataset.marks)"
    assert all("arm0" in mark.split() for mark in browser.ask(marks))


def test_values_are_told_under_the_pointer(browser, page):
    browser.open(page)
    x, y, text = browser.ask("""(() => {
        const mark = document.querySelector('svg [data-tip]');
        mark.scrollIntoView({block: 'center'});
        const box = mark.getBoundingClientRect();
        return [box.x + box.width / 2, box.y + box.height / 2, mark.dataset.tip];
    })()""")
    browser.point(x, y)
    assert browser.ask("document.querySelector('.tip').textContent") == text
    assert browser.ask("document.querySelector('.tip').hidden") is False
    browser.point(2, 2)
    assert browser.ask("document.querySelector('.tip').hidden") is True


def test_pictures_are_enlarged_and_the_arrow_keys_go_on(browser, page):
    browser.open(page)
    browser.ask("document.querySelector('#picture-3-0-0 a').click()")
    assert browser.ask("document.querySelector('#zoom').open")
    assert browser.ask("document.querySelectorAll('#zoom img').length") == 2
    assert "6899862650048264406" in browser.ask("document.querySelector('#zoom .words').textContent")
    browser.press("ArrowLeft")
    assert browser.ask("document.querySelector('#zoom strong').textContent") == "DiffFit + LoRA, brake, 10 of 10"
    browser.press("Escape")
    assert not browser.ask("document.querySelector('#zoom').open")
    assert browser.ask("document.activeElement.closest('.tile').id") == "picture-3-0-9"
    assert browser.said == []


def test_without_scripts_pictures_are_enlarged_in_place(browser, page):
    browser.open(page, scripts=False)
    tile = "document.querySelector('#picture-3-0-0')"
    assert browser.ask("[...document.querySelectorAll('.tools')].every(each => !each.offsetParent)")
    small = browser.ask(f"{tile}.offsetWidth")
    browser.call("Page.navigate", url=f"{page.as_uri()}#picture-3-0-0")
    assert browser.ask(f"{tile}.offsetWidth") > 3 * small
    assert browser.ask(f"{tile}.querySelector('.more').offsetHeight") > 50


def test_moving_pictures_can_be_declined(page):
    assert "(prefers-reduced-motion: reduce) { .moving { display: none; } }" in page.read_text()


@pytest.fixture(scope="module")
def axe(tmp_path_factory):
    """The source of axe-core, from npm's cache or its registry."""
    npm, folder = shutil.which("npm"), tmp_path_factory.mktemp("axe")
    if npm is None:
        pytest.skip("needs npm, which fetches axe-core")
    command = [npm, "pack", AXE, "--silent", "--prefer-offline", "--pack-destination", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=folder)
    packed = next(folder.glob("*.tgz"), None)
    if done.returncode or packed is None:
        pytest.skip(f"npm does not give {AXE}: {done.stderr.strip()[:200]}")
    with tarfile.open(packed) as archive:
        source = archive.extractfile("package/axe.min.js")
        assert source is not None
        return source.read().decode()


@pytest.mark.slow
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_nothing_serious(browser, page, axe, width, dark):
    browser.open(page, width=width, dark=dark)
    browser.ask("document.querySelectorAll('details').forEach(each => { each.open = true; })")
    # The shadows at a table's ends are a background that axe cannot see through.
    browser.ask("document.querySelectorAll('.scroll').forEach(each => { each.style.background = 'none'; })")
    browser.ask(axe + "; 0")
    found = json.loads(browser.ask("axe.run().then(result => JSON.stringify(result.violations))"))
    told = [(each["id"], each["impact"], each["nodes"][0]["html"][:200], len(each["nodes"])) for each in found]
    assert [each for each in told if each[1] in ("serious", "critical")] == []
