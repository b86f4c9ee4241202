"""The page opened from the file system in a headless Chromium, every control used; skipped where there is none."""

import json
import re

import pytest

from tests.report import browser, synthetic

pytestmark = pytest.mark.skipif(browser.find() is None, reason="no Chromium (DBDFLOW_CHROMIUM may name one)")

EXECUTION = {"stage": "evaluate@d_dffnet", "began": 1764100000000, "seconds": 5400, "commit": "c0ffee1234567890"}
EXECUTION |= {"dirty": True, "mlflow_run": "abc", "mlflow": "http://127.0.0.1:5000/#/experiments/1/runs/abc"}
EXECUTION |= {"prefect": "javascript:alert(1)"}
FIELD = """(() => {{ const field = document.querySelector('{0}'); {1};
field.dispatchEvent(new Event('input', {{ bubbles: true }})); }})()"""


@pytest.fixture(scope="module")
def page(experiment, tmp_path_factory):
    known = {synthetic.STAGES[1][2]: EXECUTION}
    (experiment / "executions.js").write_text(f"var dbdflowExecutions = {json.dumps(known)};\n")
    driven = browser.Browser(tmp_path_factory.mktemp("browser"))
    motion = [{"name": "prefers-reduced-motion", "value": "reduce"}]
    driven.call("Emulation.setEmulatedMedia", features=motion)
    driven.open(experiment / "report/index.html")
    yield driven
    driven.close()
    (experiment / "executions.js").unlink()


@pytest.fixture
def gallery(page):
    """The gallery as it is first seen."""
    page.js("document.getElementById('gallery').scrollIntoView()")
    page.until("document.querySelector('[data-question]')")
    page.js("document.querySelector('[data-question=homogeneous]').click()")
    choose(page, "[name=metric]", "mae")
    choose(page, "[name=view][value=side]")
    return page


def choose(page, field, value=None):
    """Give a field a value as a person does; without one, press it."""
    page.js(FIELD.format(field, "field.click()" if value is None else f"field.value = {json.dumps(value)}"))


def data(page):
    return json.loads(page.js("document.getElementById('gallery-data').textContent"))


def told(page):
    return page.js("document.querySelector('.told').textContent")


def cards(page):
    """Ids of the cards, in order."""
    return page.js("[...document.querySelectorAll('.card figcaption b')].map((each) => each.textContent)")


def texts(page, selector):
    return page.js(f"[...document.querySelectorAll({json.dumps(selector)})].map((each) => each.textContent)")


def expected(page, value):
    """Ids by a value of each place, those without one left out."""
    known = data(page)
    places = [i for i in range(len(known["photographs"]["id"])) if value(known, i) is not None]
    return [known["photographs"]["id"][i] for i in sorted(places, key=lambda i: (value(known, i), i))]


def difference(metric, first="dffnet", second="d_dffnet", sign=1):
    def value(known, i):
        before, after = (known["scores"][run][metric][i] for run in (first, second))
        return None if None in (before, after) else sign * (after - before)

    return value


def test_nothing_is_refused_and_nothing_thrown(gallery):
    gallery.until("[...document.querySelectorAll('.card img')].slice(0, 8).every((each) => each.naturalWidth === 64)")
    assert gallery.complaints() == []


def test_a_legend_hides_lines_and_bars_in_every_figure(page):
    hidden = "document.querySelectorAll('.chart .hidden[data-run=d_dffnet]').length"
    page.js("document.querySelector('.legend [data-run=d_dffnet]').click()")
    assert page.js(hidden) == 5 + 5 * 3 + 6  # curves, bars, stage 2's histories
    assert page.js("document.querySelectorAll('.chart .hidden').length") == page.js(hidden)
    pressed = "[...document.querySelectorAll('.legend [data-run=d_dffnet]')].map((each) => each.ariaPressed)"
    assert page.js(pressed) == ["false"] * 3
    page.js("document.querySelectorAll('.legend [data-run=d_dffnet]')[2].click()")
    assert page.js(hidden) == 0


def test_a_row_opens_by_the_keyboard_to_where_its_numbers_come_from(page):
    page.js("document.querySelector('[data-table=I] [data-origin=d_dffnet]').focus()")
    page.key("Enter", 13, "\r")
    text = page.js("document.querySelector('[data-table=I] tr.origin').textContent")
    for part in (synthetic.PROVENANCE["commit"], "b" * 64, "22.dir", "image_size: 64", "7,000 bytes"):
        assert part in text
    assert "1 h 30 min, begun 2025-11-25 19:46 UTC, commit c0ffee1234 with changes · MLflow" in text
    links = "[...document.querySelectorAll('[data-table=I] tr.origin a')].map((each) => each.href)"
    assert page.js(links) == [EXECUTION["mlflow"]]  # what is no page of a server is no link
    assert page.js("document.activeElement.ariaExpanded") == "true"
    page.js("document.querySelector('[data-table=runs] [data-origin=d_dffnet]').click()")
    assert page.js("document.querySelectorAll('tr.origin').length") == 2
    page.key(" ", 32, " ")
    page.js("document.querySelector('[data-table=runs] [data-origin=d_dffnet]').click()")
    assert page.js("document.querySelectorAll('tr.origin').length") == 0


def test_the_papers_questions(gallery):
    gallery.js("document.querySelector('[data-question=homogeneous]').click()")
    assert cards(gallery)[:5] == expected(gallery, difference("mae_homogeneous_in_focus"))[:5]
    assert "Figs. 1, 4, 8, 12, 13" in told(gallery)
    assert gallery.js("document.querySelectorAll('.card .errors').length") == 48
    assert gallery.js("document.querySelector('.colours').hidden") is False
    gallery.js("document.querySelector('[data-question=boundaries]').click()")
    assert cards(gallery)[:5] == expected(gallery, difference("mae_edge"))[:5]
    gallery.js("document.querySelector('[data-question=wide]').click()")
    assert told(gallery).startswith("1 to 3 of 3 photographs.")
    assert sorted(cards(gallery)) == ["ebd006", "ebd007", "ebd008"]


def test_methods_side_by_side(gallery):
    choose(gallery, "[name=method][value=hifst]")
    names = gallery.js(
        "[...document.querySelector('.card').querySelectorAll('.panel > p')].map((p) => p.firstChild.data)"
    )
    assert names == ["Photograph", "Label", "HiFST", "DFFNet", "D-DFFNet"]
    shown = {
        run: gallery.js(f"document.querySelectorAll('.card img[alt$=\"by {run}, white = in focus\"]').length")
        for run in ("HiFST", "DFFNet", "PDNet")
    }
    assert shown == {"HiFST": 24, "DFFNet": 24, "PDNet": 0}
    known = data(gallery)
    place = known["photographs"]["id"].index(cards(gallery)[0])
    best = min(known["scores"][run]["mae"][place] for run in ("hifst", "dffnet", "d_dffnet"))
    bold = gallery.js("document.querySelector('.card .panel b').textContent")
    assert bold == f"{best / 10_000:.3f}"


def test_sorting(gallery):
    assert cards(gallery) == expected(gallery, difference("mae"))[:24]
    choose(gallery, "[name=order]", "descending")
    assert cards(gallery) == expected(gallery, difference("mae", sign=-1))[:24]
    choose(gallery, "[name=metric]", "f_beta")
    choose(gallery, "[name=by]", "second")
    choose(gallery, "[name=second]", "pdnet")
    assert cards(gallery) == expected(gallery, lambda known, i: -known["scores"]["pdnet"]["f_beta"][i])[:24]
    choose(gallery, "[name=by]", "first")
    choose(gallery, "[name=first]", "hifst")
    choose(gallery, "[name=order]", "ascending")
    assert cards(gallery) == expected(gallery, lambda known, i: known["scores"]["hifst"]["f_beta"][i])[:24]


def test_filters_and_pages(gallery):
    choose(gallery, "[name=set]", "4")
    assert told(gallery) == "1 to 6 of 6 photographs."
    choose(gallery, "[name=set]", "")
    gallery.js("document.querySelector('[data-turn=after]').click()")
    assert told(gallery) == "25 to 30 of 30 photographs."
    assert cards(gallery) == expected(gallery, difference("mae"))[24:]
    assert gallery.js("document.querySelector('[data-turn=after]').disabled") is True
    gallery.js("document.querySelector('[data-turn=before]').click()")
    assert told(gallery) == "1 to 24 of 30 photographs."
    choose(gallery, "[name=dof]", "1")
    assert sorted(cards(gallery)) == ["ebd006", "ebd007", "ebd008"]
    choose(gallery, "[name=dof]", "")
    choose(gallery, "[name=low]", "20")
    choose(gallery, "[name=high]", "30.5")
    found = dict(zip(*(data(gallery)["photographs"][key] for key in ("id", "focus")), strict=True))
    assert sorted(cards(gallery)) == sorted(name for name, focus in found.items() if 200 <= focus <= 305)
    choose(gallery, "[name=high]", "10")
    assert told(gallery) == "No photograph passes these filters."


def test_the_slider_moves_by_the_keyboard(gallery):
    choose(gallery, "[name=view][value=slider]")
    gallery.js("document.querySelector('.compare input').focus()")
    for _ in range(3):
        gallery.key("ArrowLeft", 37)
    assert gallery.js("document.querySelector('.compare').style.getPropertyValue('--cut')") == "47%"
    assert gallery.js("getComputedStyle(document.querySelector('.over')).clipPath") == "inset(0px 0px 0px 47%)"
    label = gallery.js("document.querySelector('.compare input').ariaLabel")
    assert label == "Left of the line DFFNet, right of it D-DFFNet"


def test_dark_light_and_print(gallery):
    colours = gallery.in_schemes("getComputedStyle(document.body).backgroundColor")
    found = {scheme: sum(map(int, re.findall(r"\d+", colour))) / 3 for scheme, colour in colours.items()}
    assert found["light"] > 240
    assert found["dark"] < 40
    gallery.js("dispatchEvent(new Event('beforeprint'))")
    assert gallery.js("document.querySelectorAll('details.prints:not([open])').length") == 0
    gallery.js("dispatchEvent(new Event('afterprint'))")
    assert gallery.js("document.querySelectorAll('details.prints:not([open])').length") > 0


def test_a_sheet_of_a4_holds_the_page(page):
    """Landscape, 297 mm less two margins of 14 mm: 1016 pixels of 1/96 inch."""
    page.call("Emulation.setEmulatedMedia", media="print")
    page.size(1016, 700)
    page.js("dispatchEvent(new Event('beforeprint'))")
    assert page.js("document.documentElement.scrollWidth") == 1016
    narrow = "[...document.querySelectorAll('.wide > table')].filter((each) => each.offsetWidth > 1016).length"
    assert page.js(narrow) == 0
    page.js("dispatchEvent(new Event('afterprint'))")
    page.call("Emulation.setEmulatedMedia", media="")


def test_charts_follow_the_page_into_the_dark(page):
    found = page.in_schemes("getComputedStyle(document.querySelector('.chart path.line')).stroke")
    assert found == {"light": "rgb(33, 102, 172)", "dark": "rgb(110, 168, 224)"}
    title = page.js("document.querySelector('.chart path.line title').textContent")
    assert title == "HiFST"


def test_a_legend_points_out_the_lines_of_its_run(page):
    page.js("document.querySelector('.legend [data-run=dffnet]').dispatchEvent(new Event('mouseenter'))")
    faint = "getComputedStyle(document.querySelector('.chart path[data-run={}]')).opacity"
    page.until(faint.format("hifst") + " === '0.16'")
    assert page.js(faint.format("dffnet")) == "1"
    page.js("document.querySelector('.legend [data-run=dffnet]').dispatchEvent(new Event('mouseleave'))")
