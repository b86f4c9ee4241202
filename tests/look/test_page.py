"""The page of `dbdflow look` in a headless Chromium: real drops, every control; skipped where there is none."""

import base64
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.baselines.lbp import lbp
from components.maps.files import grey
from components.views.compose import cut_out, on_white, overlay
from tests.flows.conftest import until
from tests.report import browser

pytestmark = pytest.mark.skipif(browser.find() is None, reason="no Chromium (DBDFLOW_CHROMIUM may name one)")
SECTION = "document.querySelector('article[aria-label=\"{0}\"] .model[aria-label={1}]')"
ASKED = "performance.getEntriesByType('resource').filter((each) => new URL(each.name).pathname === '/map').length"


class Page(browser.Browser):
    """A browser with the page open."""

    def visit(self, address: str) -> None:
        self.events.clear()
        self.call("Page.navigate", url=address)
        self.until("location.protocol === 'http:' && document.querySelector('.bar option')")

    def drop(self, *files: Path) -> None:
        data = {"items": [], "files": list(map(str, files)), "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            self.call("Input.dispatchDragEvent", type=kind, x=300, y=200, data=data)

    def choose(self, field: str, value: str) -> None:
        """Give a field of the bar a value as a person does."""
        given = f"Object.assign(document.querySelector('.bar').elements.{field}, {{ value: {json.dumps(value)} }})"
        self.js(f"{given}.dispatchEvent(new Event('{'input' if field == 'level' else 'change'}', {{ bubbles: true }}))")

    def done(self, maps: int) -> None:
        """Wait for so many maps, and that what is near is painted."""
        self.until(f"document.querySelectorAll('.model[data-state=done]').length === {maps}")
        self.until("[...document.querySelectorAll('[data-state=done] canvas')].every((each) => each.width !== 3)")

    def pixels(self, name: str, model: str, view: str) -> np.ndarray:
        """What a picture shows, (H, W, 4)."""
        canvas = f"{SECTION.format(name, model)}.querySelector('[data-view={view}] canvas')"
        return rgba(base64.b64decode(self.js(f"{canvas}.toDataURL()").partition(",")[2]))

    def text(self, selector: str) -> str:
        return self.js(f"document.querySelector('{selector}').textContent")


def rgba(encoded: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(encoded)) as image:
        return np.asarray(image.convert("RGBA"))


@pytest.fixture(scope="module")
def opened(looking, tmp_path_factory):
    driven = Page(tmp_path_factory.mktemp("browser"))
    driven.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-reduced-motion", "value": "reduce"}])
    yield driven
    driven.close()


@pytest.fixture
def page(opened, looking):
    """The page as it is first seen, 1400 pixels wide."""
    opened.size(1400)
    opened.visit(looking.address)
    return opened


@pytest.fixture(scope="module")
def file(photo, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("photos") / "flower é.png"
    Image.fromarray(photo).save(path)
    return path


def near(found: np.ndarray, expected: np.ndarray) -> bool:
    """Alike but for a canvas's roundings, one a step, and its weights of grey (0.30, 0.59, 0.11)."""
    return np.abs(found.astype(int) - expected).max() <= 3


def test_a_photograph_that_is_dropped_is_shown_as_the_program_composes_it(page, file, photo) -> None:
    page.drop(file)
    page.done(2)
    levels = grey(lbp(photo))
    found = {view: page.pixels(file.name, "lbp", view) for view in ("map", "overlay", "cut-out")}
    assert (found["map"][..., :3] == levels[..., None]).all()
    assert (found["overlay"][..., 3] == 255).all()
    assert near(found["overlay"][..., :3], overlay(photo, levels))
    assert (found["cut-out"][..., 3] == cut_out(photo, levels)[..., 3]).all()
    opacity = found["cut-out"][..., 3:] / 255
    assert near(found["cut-out"][..., :3] * opacity + 255 * (1 - opacity), on_white(photo, levels))
    told = page.js(f"{SECTION.format(file.name, 'lbp')}.querySelector('.facts').textContent")
    assert told.startswith(f"{levels.mean() / 2.55:.0f} % in focus · ")
    assert page.text(".told") == "2 of 2 maps"
    assert page.js("document.querySelectorAll('.model[aria-label=tiny] canvas').length") == 3
    assert page.complaints() == []


def test_the_threshold_is_dragged_without_asking_again(page, file, photo) -> None:
    page.drop(file)
    page.done(2)
    asked, levels = page.js(ASKED), grey(lbp(photo))
    page.js("document.querySelector('.bar [name=level]').focus()")
    for _ in range(3):
        page.key("ArrowRight", 39)
    page.until("document.querySelector('.bar [name=cut]').checked")
    page.js("new Promise((done) => requestAnimationFrame(() => setTimeout(done, 100)))")
    assert (page.pixels(file.name, "lbp", "map")[..., 0] == np.where(levels >= 131, 255, 0)).all()
    assert (page.pixels(file.name, "lbp", "cut-out")[..., 3] == np.where(levels >= 131, 255, 0)).all()
    assert page.text(".bar output") == page.text("dialog output") == "0.51"
    button = f"{SECTION.format(file.name, 'lbp')}.querySelector('[data-view=map] .picture').ariaLabel"
    share = f"{100 * (levels >= 131).mean():.0f} % in focus"
    assert page.js(button) == f"Map of flower é.png by lbp, white is in focus, {share}; enlarge"
    assert page.js(ASKED) == asked == 2


def test_maps_and_cut_outs_are_saved_at_full_size(page, file, photo, looking, tmp_path) -> None:
    page.call("Page.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    page.drop(file)
    page.done(2)
    save = f"{SECTION.format(file.name, 'lbp')}.querySelector('[data-view={{}}] figcaption button').click()"
    page.js(save.format("map"))
    whole, cut = tmp_path / "flower é-lbp-map.png", tmp_path / "flower é-lbp-cut-out-at-0.78.png"
    until(whole.exists)
    assert whole.read_bytes() == looking.map(file.read_bytes(), model="lbp", name=file.name).body
    page.choose("level", "200")
    page.js(save.format("cut-out"))
    until(cut.exists)
    found, kept = rgba(cut.read_bytes()), grey(lbp(photo)) >= 200
    assert (found[..., 3] == np.where(kept, 255, 0)).all()
    assert (found[kept][:, :3] == photo[kept]).all()


def test_what_is_no_photograph_is_said_in_its_place_and_can_be_removed(page, file, tmp_path) -> None:
    notes = tmp_path / "<b>notes.jpg"
    notes.write_text("no photograph")
    page.drop(notes, file)
    page.done(2)
    page.until("document.querySelectorAll('[data-state=failed]').length === 2")
    told = page.js("document.querySelector('[data-state=failed] .facts').textContent")
    assert told == "<b>notes.jpg: not a readable image (of no known format); get the file again, or take it away"
    assert page.text(".told") == "2 of 4 maps, 2 failed"
    page.js("document.querySelector('article header button').click()")
    assert page.text(".told") == "2 of 2 maps"
    assert page.js("document.activeElement.ariaLabel") == "Remove flower é.png"
    page.js("document.querySelector('.bar [name=clear]').click()")
    assert page.js("document.body.className") == "empty"


def test_a_folder_a_choice_a_paste_and_an_example(page, file, photo, tmp_path) -> None:
    """A TIFF, which the browser does not show, comes back from the program."""
    (tmp_path / "shoot/below").mkdir(parents=True)
    (tmp_path / "shoot/.hidden.png").write_bytes(b"")
    Image.fromarray(photo[::-1]).save(tmp_path / "shoot/below/turned.tif")
    page.choose("second", "")
    page.drop(tmp_path / "shoot")
    page.done(1)
    shown = page.js("document.querySelector('.body > figure canvas').toDataURL()").partition(",")[2]
    assert (rgba(base64.b64decode(shown))[..., :3] == photo[::-1]).all()
    document = page.call("DOM.getDocument")["root"]["nodeId"]
    field = page.call("DOM.querySelector", nodeId=document, selector=".choose input")["nodeId"]
    page.call("DOM.setFileInputFiles", nodeId=field, files=[str(file)])
    encoded = base64.b64encode(file.read_bytes()).decode()
    pasted = f"const bytes = Uint8Array.from(atob('{encoded}'), (each) => each.charCodeAt());"
    pasted += (
        "const given = new DataTransfer(); given.items.add(new File([bytes], 'image.png', { type: 'image/png' }));"
    )
    page.js(f"{{{pasted} document.dispatchEvent(new ClipboardEvent('paste', {{ clipboardData: given }}))}}")
    page.js("document.querySelector('.examples button').click()")
    page.until("document.querySelectorAll('.model[data-state=done]').length === 4")
    names = page.js("[...document.querySelectorAll('article h2')].map((each) => each.textContent)")
    assert names == ["turned.tif", file.name, "image.png", "flower.jpg"]


def test_a_photograph_is_shown_as_its_map_lies(page, photo, tmp_path) -> None:
    """Also where the browser would not turn it, or turns it by itself."""
    turned, exif = tmp_path / "turned.png", Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(photo).save(turned, exif=exif)
    page.choose("second", "")
    page.drop(turned)
    page.done(1)
    page.until("document.querySelector('.facts').textContent === '107 × 160'")
    page.until("document.querySelector('.model canvas').width === 107")
    shown = page.js("document.querySelector('.body > figure canvas').toDataURL()").partition(",")[2]
    assert (rgba(base64.b64decode(shown))[..., :3] == np.rot90(photo, -1)).all()


def test_another_model_is_asked_for_once(page, file) -> None:
    page.drop(file)
    page.done(2)
    page.choose("second", "small")
    page.done(2)
    assert page.js("[...document.querySelectorAll('.model')].map((each) => each.ariaLabel)") == ["tiny", "small"]
    page.choose("second", "lbp")
    page.done(2)
    page.choose("first", "lbp")
    assert page.js("[...document.querySelectorAll('.model')].map((each) => each.ariaLabel)") == ["lbp"]
    assert page.js(ASKED) == 3


def test_a_picture_is_enlarged_and_turned_by_the_keyboard(page, file) -> None:
    page.drop(file)
    page.done(2)
    page.js(f"{SECTION.format(file.name, 'lbp')}.querySelector('[data-view=map] .picture').focus()")
    page.key("Enter", 13, "\r")
    page.until("document.querySelector('dialog').open && document.querySelector('dialog canvas').width === 160")
    assert page.text("dialog .caption") == "flower é.png, lbp"
    page.key("ArrowRight", 39)
    assert page.text("dialog [aria-pressed=true]") == "overlay"
    page.key("Escape", 27)
    page.until("!document.querySelector('dialog').open")
    assert page.js("document.activeElement.ariaLabel").startswith("Map of flower")


@pytest.mark.parametrize("width", [400, 1400])
def test_nothing_runs_over_the_side_and_all_has_a_name(page, file, width: int) -> None:
    page.size(width)
    for second in ("lbp", ""):
        page.choose("second", second)
        for filled in (False, True):
            if filled:
                page.drop(file)
                page.done(2 if second else 1)
            assert page.js("document.documentElement.scrollWidth") == width
            nameless = "!(each.ariaLabel ?? '') && !each.textContent.trim()"
            assert page.js(f"[...document.querySelectorAll('button')].filter((each) => {nameless}).length") == 0
            assert page.js("[...document.querySelectorAll('img')].every((each) => each.hasAttribute('alt'))")
        page.js("document.querySelector('.bar [name=clear]').click()")


def test_light_and_dark(page) -> None:
    found = page.in_schemes("getComputedStyle(document.body).backgroundColor")
    assert found == {"light": "rgb(251, 251, 249)", "dark": "rgb(19, 21, 23)"}
