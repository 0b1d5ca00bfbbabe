"""The page in Debian's chromium: narrow and wide, dark and light, by keys alone, printed, loaded again."""

import io
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from devtools import CHROMIUM, Browser
from matplotlib.image import imread

from analysis import load
from analysis.report import make_report, write_report

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium: apt-get install chromium")

EVIL = "</script><b>&|_"
A4 = 718  # pixels between Chromium's margins


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    browser = Browser(tmp_path_factory.mktemp("profile"))
    probes = (Path(__file__).parent / "probes.js").read_text()
    browser.tell("Page.addScriptToEvaluateOnNewDocument", source=probes)
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory, trajectory, write_store, diagnosis):
    """Names that are long or markup, a failure, tables too wide or too tall for their place, folded findings."""
    rng = np.random.default_rng(0)
    configurations = [("random", {}), (EVIL, {}), *(("ntkcpl_al", {"max_clusters": n}) for n in range(5, 70, 5))]
    rows = [trajectory("badge", status="failed")]
    for k, (name, params) in enumerate(configurations):
        rounds = diagnosis if 2 <= k < 4 else ()
        for seed in range(3):
            accuracy = 0.4 + 0.02 * k + rng.normal(0, 0.01, 3)
            rows.append(trajectory(name, seed, list(accuracy), params=params, rounds=rounds))
    made = make_report(load(write_store(tmp_path_factory.mktemp("store"), rows)))
    (section,) = made.sections
    return replace(made, sections=[replace(section, figures=section.figures[:1])])


@pytest.fixture(scope="module")
def page(report, tmp_path_factory):
    return write_report(report, tmp_path_factory.mktemp("report"), ["html"]) / "index.html"


def pixels(browser):
    return imread(io.BytesIO(browser.screenshot()))[..., :3]


@pytest.mark.parametrize("width", [1280, 400])
def test_curves_and_tables_answer(browser, page, width):
    browser.open(page, width=width)
    curves = "all('[data-curve]').map((each) => each.dataset.curve)"
    names = browser.run(curves)
    assert len(names) == 15
    assert EVIL in names
    button = """one('.legend button[data-series="random"]')"""
    browser.run(f"{button}.click()")
    others = [name for name in names if name != "random"]
    assert browser.run(curves) == others
    assert browser.run(f"{button}.ariaPressed") == "false"
    ticks = "all('.plot text').map((each) => each.textContent)"
    assert "Labels bought" in browser.run(ticks)
    browser.run("one('input[value=true]').click()")
    assert "Labels bought (log scale)" in browser.run(ticks)
    browser.run("one('input[value=gain]').click()")
    assert browser.run(curves) == others
    browser.run("one('.plot').scrollIntoView()")
    box = browser.run("one('.plot svg').getBoundingClientRect().toJSON()")
    browser.tell("Input.dispatchMouseEvent", type="mouseMoved", x=box["right"] - 15, y=box["top"] + 40)
    assert browser.run("one('.tip').textContent").startswith("40 labels")
    assert (np.ptp(pixels(browser), axis=-1) > 0.3).mean() > 0.001, "The curves have no colours."
    column = "[...one('table.sortable').tBodies[0].rows].map((row) => Number(row.cells[1].dataset.value))"
    browser.run("all('thead button')[1].click()")
    rising = browser.run(column)
    browser.run("all('thead button')[1].click()")
    assert rising == sorted(rising)
    assert browser.run(column) == rising[::-1]
    assert browser.run("all('thead th')[1].ariaSort") == "descending"
    assert browser.problems() == []


@pytest.mark.parametrize(("width", "media"), [(1280, "screen"), (400, "screen"), (A4, "print")])
def test_nothing_is_wider_than_the_page(browser, page, width, media):
    browser.open(page, width=width, media=media)
    assert browser.run("[innerWidth, document.documentElement.scrollWidth]") == [width, width]
    n_cut = browser.run("all('.scroll').filter((each) => each.scrollWidth > each.clientWidth).length")
    assert (n_cut > 0) == (media == "screen")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_readable(browser, page, scheme):
    browser.open(page, scheme=scheme)
    browser.run("one('thead button').click(), one('.legend button').click()")
    browser.run("one('.plot svg').dispatchEvent(new KeyboardEvent('keydown', { key: 'End' }))")
    found = browser.run("contrasts()")
    assert len(found) > 500
    assert [(round(ratio, 2), text) for ratio, text in found if ratio < 4.5] == []
    drawn = pixels(browser)
    assert drawn.shape[:2] == (900, 1280)
    paper = np.median(drawn)
    assert (paper > 0.9) == (scheme == "light")
    assert 0.005 < (abs(drawn.mean(axis=-1) - paper) > 0.4).mean() < 0.3


def test_the_tab_key_goes_everywhere_in_order(browser, page):
    browser.open(page, width=400)
    n_controls = browser.run("watchFocus()")
    browser.press("Tab", n_controls)
    visited = browser.run("visited")
    assert [number for number, _ in visited] == list(range(n_controls))
    unseen = [number for number, seen in visited if not seen]
    assert browser.run(f"{unseen}.map((number) => controls[number].outerHTML.slice(0, 80))") == []


def test_keys_do_what_a_mouse_does(browser, page):
    browser.open(page, width=400)

    def press(key, selector, value):
        browser.run(f"one('{selector}').focus()")
        browser.press(key)
        return browser.run(f"one('{selector}').{value}")

    for folded in ("details.more summary", ".table summary"):
        assert press("Enter", folded, "parentElement.open") is True
        assert press(" ", folded, "parentElement.open") is False
    assert press(" ", ".legend button", "ariaPressed") == "false"
    assert press("Enter", ".legend button", "ariaPressed") == "true"
    assert press("Enter", "thead button", "parentElement.ariaSort") == "ascending"
    assert press(" ", "thead button", "parentElement.ariaSort") == "descending"
    assert press("ArrowRight", "input", "checked") is False
    assert "Gain (percentage points)" in press("ArrowRight", ".plot svg", "textContent")
    assert browser.run("one('.tip').textContent").startswith("10 labels")
    assert browser.run("one('#live').textContent").startswith("10 labels: ntkcpl_al[")
    browser.run("window.moved = new Promise((done) => one('.scroll').addEventListener('scroll', done)), null")
    press("ArrowRight", ".scroll", "id")
    assert browser.run("moved.then(() => one('.scroll').scrollLeft)") > 0


def test_nothing_is_lost_on_paper(browser, page):
    browser.open(page, width=A4, media="print", scheme="dark")
    assert browser.run("lost()") == []
    assert browser.run("all('.scroll').filter((each) => each.scrollHeight > each.clientHeight).length") == 0
    assert browser.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    printed = browser.pdf()
    assert printed.startswith(b"%PDF")
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) > 3


def test_a_page_that_loads_itself_again_stays_as_it_was(browser, report, tmp_path):
    (section,) = report.sections
    grown = replace(section, limits=[*section.limits, *["A line more."] * 9], figures=[])
    later = write_report(replace(report, sections=[grown]), tmp_path / "later", ["html"]) / "index.html"
    renewed = replace(report, sections=[replace(section, figures=[])], renewed_every=1)
    page = write_report(renewed, tmp_path, ["html"]) / "index.html"
    browser.open(page)
    before = browser.run(
        """one("input[value=gain]").click(), all(".legend button")[2].click(), all(".table summary")[2].click(),
        all(".table thead button")[2].click(), all(".table thead button")[2].click(),
        all(".table")[4].scrollIntoView(), scrollBy(0, 123),
        all(".table summary")[4].focus({ preventScroll: true }), state()"""
    )
    later.replace(page)
    while "A line more." not in browser.run("document.body.textContent"):
        browser.wait("Page.loadEventFired")
    assert browser.run("state()") == before | {"top": pytest.approx(before["top"], abs=2)}
    assert (before["curves"], before["gain"], before["top"]) == (13, True, -123)
    assert len(before["open"]) == len(before["sorted"]) == 1
    assert browser.problems() == []
