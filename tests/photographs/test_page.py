"""The page of a folder: its data, and every control of it in a headless Chromium, skipped where there is none."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.request import url2pathname

import numpy as np
import pytest
from PIL import Image

from components.catalog.pictures import encode_map
from components.views.files import VIEWS, encode_thumbnail
from pipelines.photographs.page import data_of, render_page
from pipelines.photographs.rows import Row
from tests.photographs.faked import LEVELS
from tests.report import browser
from tests.report.browser import Browser

THUMBNAILS = VIEWS["thumbnail"].folder
ODD = 'a<b> & "c" #1%.jpg'
FIELD = """(() => {{ const field = document.querySelector('[name={}]'); field.value = {};
field.dispatchEvent(new Event('input', {{ bubbles: true }})); }})()"""
chromium = pytest.mark.skipif(browser.find() is None, reason="no Chromium (DBDFLOW_CHROMIUM may name one)")


def row(share: float, width: int = 60, height: int = 40) -> Row:
    return Row("", (0, 0), "", {}, {"width": width, "height": height, "in_focus": share, "confidence": 0.987654})


def test_what_the_script_knows() -> None:
    out = Path("/photos/maps")
    rows = {
        Path("/photos", ODD): row(0.123456),
        Path("/photos/sub folder", os.fsdecode(b"caf\xe9.JPG")): row(1.0, 4000, 6000),
        Path("/photos/a.b.jpg"): row(0.0),
    }
    assert data_of(rows, out, THUMBNAILS) == {
        "folders": ["..", "../sub%20folder"],
        "thumbnails": ".predict/thumbnails",
        "photographs": [
            [0, "a%3Cb%3E%20%26%20%22c%22%20%231%25", ".jpg", 60, 40, 0.1235, 0.988],
            [1, "caf%E9", ".JPG", 4000, 6000, 1.0, 0.988],
            [0, "a.b", ".jpg", 60, 40, 0.0, 0.988],
        ],
    }


def test_a_page_of_ten_thousand_is_small_and_loads_nothing_from_elsewhere() -> None:
    html = render_page({Path(f"/shoot/IMG_{i:05}.jpg"): row(i / 10000) for i in range(10000)}, {}, Path("/shoot/maps"))
    assert len(html) < 1_000_000
    assert "<img" in html
    assert not re.search(r"(src|href)=|https?:|url\(|@import", html.replace("src 'self'", ""))


def test_reasons_and_names_are_text() -> None:
    html = render_page({}, {Path("/x/<b>.jpg"): "<script>alert(1)</script>"}, Path("/x/maps"))
    assert "<li><b>/x/&lt;b&gt;.jpg</b>: &lt;script&gt;alert(1)&lt;/script&gt;</li>" in html
    assert "Without a map: 1" in html


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """2000 photographs of a shoot in which the share in focus falls with the number; 20 have files."""
    shoot = tmp_path_factory.mktemp("shoot")
    out = shoot / "maps"
    (out / THUMBNAILS).mkdir(parents=True)
    rows = {}
    for number in range(2000):
        path = shoot / (ODD if number == 3 else "tiff.tif" if number == 4 else f"{number}.jpg")
        rows[path] = row(1 - number / 2000)
        if number < 20:
            colours = Image.new("RGB", (60, 40), (200, number, 0))
            colours.save(path)
            (out / f"{path.stem}.png").write_bytes(encode_map(LEVELS))
            small = encode_thumbnail(np.asarray(colours), LEVELS, path.name, b"")
            (out / THUMBNAILS / f"{path.stem}.jpg").write_bytes(small)
    (out / "index.html").write_text(render_page(rows, {}, out))
    driven = Browser(tmp_path_factory.mktemp("browser"))
    driven.open(out / "index.html")
    yield driven
    driven.close()


def index(page: Browser) -> Path:
    return Path(url2pathname(page.js("location.pathname")))


@pytest.fixture
def fresh(page: Browser) -> Browser:
    """The page as it is first seen."""
    page.open(index(page))
    return page


def names(page: Browser) -> list[str]:
    """Of the photographs that have elements, in order."""
    found: list[str] = page.js("[...document.querySelectorAll('.grid li b')].map((each) => each.textContent)")
    return found


def give(page: Browser, field: str, value: object) -> None:
    page.js(FIELD.format(field, json.dumps(str(value))))


def told(page: Browser) -> str:
    text: str = page.js("document.querySelector('.told').textContent")
    return text


@chromium
def test_only_what_is_near_has_elements(fresh: Browser) -> None:
    first = names(fresh)
    assert first[:5] == ["0.jpg", "1.jpg", "2.jpg", ODD, "tiff.tif"]
    assert 20 < len(first) < 120
    fresh.until("document.querySelector('.grid img').naturalWidth === 120")
    fresh.js("scrollTo(0, document.body.scrollHeight)")
    fresh.until("[...document.querySelectorAll('.grid li b')].at(-1).textContent === '1999.jpg'")
    assert len(names(fresh)) < 120
    places = fresh.js("[...document.querySelectorAll('.grid li')].map((each) => Number(each.ariaPosInSet))")
    assert places == list(range(places[0], 2001))


@chromium
def test_sorted_and_filtered(fresh: Browser) -> None:
    assert told(fresh) == "2000 photographs."
    give(fresh, "by", "share-up")
    assert names(fresh)[:3] == ["1999.jpg", "1998.jpg", "1997.jpg"]
    give(fresh, "by", "name")
    assert names(fresh)[:4] == ["0.jpg", "1.jpg", "2.jpg", "5.jpg"]  # by number, and what is odd at the end
    give(fresh, "low", 25)
    assert told(fresh) == (
        "1501 of 2000 photographs. To copy them, run predict again with --sharper-than 0.25 --copy-to FOLDER."
    )
    give(fresh, "high", 25)
    assert (told(fresh), names(fresh)) == ("1 of 2000 photographs.", ["1500.jpg"])
    give(fresh, "high", "")
    give(fresh, "low", "")
    give(fresh, "text", " A<B> ")
    assert (told(fresh), names(fresh)) == ("1 of 2000 photographs.", [ODD])
    give(fresh, "text", "nothing")
    assert (told(fresh), names(fresh)) == ("0 of 2000 photographs.", [])


@chromium
def test_the_slider_shows_the_maps(fresh: Browser) -> None:
    shown = "getComputedStyle(document.querySelector('.grid .map')).clipPath"
    assert fresh.js(shown) == "inset(0px 100% 0px 0px)"
    give(fresh, "cut", 70)
    assert fresh.js(shown) == "inset(0px 30% 0px 0px)"


@chromium
def test_by_the_keyboard(fresh: Browser) -> None:
    focused = "document.activeElement.parentElement.querySelector('b')?.textContent"
    fresh.js("document.querySelector('.grid button').focus()")
    across = fresh.js(
        "(() => { const all = [...document.querySelectorAll('.grid li')];"
        "return all.findIndex((each) => each.offsetTop > 0); })()"
    )
    for key, code, name in [
        ("ArrowRight", 39, "1.jpg"),
        ("ArrowLeft", 37, "0.jpg"),
        ("ArrowLeft", 37, "0.jpg"),
        ("ArrowDown", 40, names(fresh)[across]),
        ("ArrowUp", 38, "0.jpg"),
        ("End", 35, "1999.jpg"),
        ("Home", 36, "0.jpg"),
    ]:
        fresh.key(key, code)
        assert fresh.js(focused) == name, key
    fresh.key("Enter", 13, "\r")
    assert fresh.js("document.querySelector('dialog').open")
    title = "document.querySelector('dialog h2').textContent"
    for key, code, name in [("PageDown", 34, "1.jpg"), ("PageDown", 34, "2.jpg"), ("PageUp", 33, "1.jpg")]:
        fresh.key(key, code)
        assert fresh.js(title) == name
    before = float(fresh.js("document.querySelector('dialog [name=cut]').value"))
    fresh.key("ArrowRight", 39)
    assert float(fresh.js("document.querySelector('dialog [name=cut]').value")) == before + 1 == 51
    fresh.key("Escape", 27)
    assert not fresh.js("document.querySelector('dialog').open")
    fresh.until(f"{focused} === '1.jpg'")


@chromium
def test_one_opened(fresh: Browser) -> None:
    """A name that is odd in every way; a format that the browser does not show, for which the thumbnail stands."""
    for place, name, wide in ((3, ODD, 60), (4, "tiff.tif", 120)):
        fresh.js(f"document.querySelectorAll('.grid button')[{place}].click()")
        wides = "[...document.querySelectorAll('dialog img')].map((each) => each.naturalWidth).join()"
        fresh.until(f"{wides} === '{wide},60'")
        assert fresh.js("document.querySelector('dialog img').alt") == name
        assert fresh.js("document.querySelector('.facts').textContent").startswith("60 × 40 pixels, 100 % in focus, ")
        fresh.js("document.querySelector('[data-do=close]').click()")
    fresh.js("document.querySelectorAll('.grid button')[0].click()")
    assert fresh.js("document.querySelector('[data-do=before]').disabled")
    assert [each for each in fresh.complaints() if "FILE_NOT_FOUND" not in str(each)] == []  # of 2000, 20 have files


@chromium
@pytest.mark.parametrize("width", [400, 1400])
def test_nothing_is_wider_than_the_window(page: Browser, width: int) -> None:
    page.size(width)
    page.open(index(page))
    assert page.js("document.documentElement.scrollWidth") == width
    rights = page.js("[...document.querySelectorAll('.grid li')].map((each) => each.getBoundingClientRect().right)")
    assert width - 30 < max(rights) <= width - 12
    page.js("document.querySelector('.grid button').click()")
    box = page.js(
        "(({ left, right, bottom }) => [left, right, bottom])(document.querySelector('dialog').getBoundingClientRect())"
    )
    assert box[0] >= 0
    assert box[1] <= width
    assert box[2] <= 900
