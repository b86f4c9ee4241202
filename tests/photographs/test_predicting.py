"""A folder of photographs: maps, views, table; what is done is not done again, what changed is, nothing is lost."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image
from pyarrow import parquet

from components.common.errors import InputError
from components.models.run_files import write_run
from pipelines.cli import main
from pipelines.photographs import making
from pipelines.photographs.plan import plan_maps
from pipelines.photographs.predicting import job_of, made_of
from pipelines.photographs.rows import LEDGER, LOCK, Row, read_ledger, writing
from pipelines.photographs.table import COLUMNS
from pipelines.system.locks import held
from tests.models.tiny import build_tiny
from tests.photographs.faked import LEVELS, detect

ROOT = Path(__file__).parent.parent.parent
NAMES = ["a.jpg", "b.png", "c.jpg"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with three photographs of 60 x 40 pixels in `shoot`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DBDFLOW_CORES", "2")
    Path("shoot").mkdir()
    for name in NAMES:
        photograph(name)
    return tmp_path


def photograph(name: str, seed: int = 0) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 60, 3), np.uint8)
    Image.fromarray(pixels).save(Path("shoot", name))


@pytest.fixture
def looked(here: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The photographs that the detector has seen; in focus is a rectangle."""
    return detect(monkeypatch, lambda photograph: LEVELS)


def predict(*words: str, code: int = 0) -> Result:
    done = CliRunner().invoke(main, ["predict", *words])
    assert done.exit_code == code, done.output
    return done


def refused(*words: str) -> str:
    return predict(*words, code=2).stderr.rpartition("error: ")[2].strip()


def listed(folder: str) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in Path(folder).rglob("*") if path.is_file())


def table(folder: str = "maps") -> list[dict[str, object]]:
    return parquet.read_table(Path(folder, "photographs.parquet")).to_pylist()


def test_a_row_by_hand(looked: list[str]) -> None:
    Path("shoot/d.jpg").write_bytes(b"no photograph")
    predict("shoot", code=1)
    rows = {Path(str(row["path"])).name: row for row in table()}
    assert list(rows) == [*NAMES, "d.jpg"]
    seconds = rows["b.png"].pop("seconds")
    assert isinstance(seconds, float)
    assert 0 < seconds < 60
    assert rows["b.png"] == {
        "path": str(Path("shoot/b.png").resolve()),
        "map": "b.png",
        "width": 60,
        "height": 40,
        "in_focus": 200 / 2400,
        "centre_x": 40.0,
        "centre_y": 15.0,
        "box_left": 30,
        "box_upper": 10,
        "box_right": 50,
        "box_lower": 20,
        "confidence": 1.0,
        "problem": None,
    }
    assert str(rows["d.jpg"].pop("problem")).startswith("not a readable image")
    assert set(rows["d.jpg"].values()) == {None, str(Path("shoot/d.jpg").resolve())}


def test_the_table_says_what_it_means_and_so_does_its_page(looked: list[str]) -> None:
    predict("shoot")
    schema = parquet.read_schema("maps/photographs.parquet")
    assert schema.metadata[b"polarity"].startswith(b"maps: white (the greatest level) = in focus")
    assert schema.metadata[b"model"] == b"small"
    page = (ROOT / "docs/photographs.md").read_text()
    for field in schema:
        kind, unit, meaning = COLUMNS[field.name]
        assert field.metadata == {b"unit": unit.encode(), b"meaning": meaning.encode()}
        assert f"| `{field.name}` | {kind} | {unit} | {meaning} |" in page


def test_views_lie_beside_the_maps_and_only_where_they_are_asked_for(looked: list[str]) -> None:
    predict("shoot", "--out", "some")
    assert listed("some") == sorted(
        [
            *(".predict/ledger.jsonl", ".predict/lock", "index.html", "photographs.parquet"),
            *(name.format(each) for each in "abc" for name in ("{}.png", ".predict/thumbnails/{}.jpg")),
        ]
    )
    predict("shoot", "--out", "all", "--overlay", "--cut-out", "--blur", "--bits", "16")
    views = {"overlay/a.jpg": "RGB", "cut-out/a.png": "RGBA", "blur/a.jpg": "RGB", "a.png": "I;16"}
    for name, mode in views.items():
        with Image.open(Path("all", name)) as image:
            assert (image.mode, image.size) == (mode, (60, 40)), name
    with Image.open("all/a.png") as image:
        assert np.array_equal(np.asarray(image), LEVELS.astype(np.uint16) * 257)


def test_sixteen_bits_keep_what_eight_round(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    levels = np.linspace(0, 255, 2400).reshape(40, 60)
    detect(monkeypatch, lambda photograph: levels)
    predict("shoot/a.jpg", "--bits", "16", "--out", "deep")
    with Image.open("deep/a.png") as image:
        assert np.array_equal(np.asarray(image), np.rint(np.float32(levels / 255) * 65535))
    predict("shoot/a.jpg", "--bits", "16", "--out", "deep")  # known for ours, and written over
    Image.fromarray(np.zeros((40, 60), np.uint16)).save("deep/a.png")
    assert refused("shoot/a.jpg", "--bits", "16", "--out", "deep").startswith("deep/a.png: not made by this command, ")


def test_of_one_photograph_there_is_what_was_asked_for(looked: list[str]) -> None:
    assert predict("shoot/a.jpg", "--cut-out").stdout == "1 maps in maps (white = in focus)\n"
    assert listed("maps") == ["a.png", "cut-out/a.png"]
    predict("shoot/a.jpg", "shoot/b.png")
    assert "index.html" in listed("maps")


def test_what_is_done_is_not_done_again_and_what_changed_is(looked: list[str]) -> None:
    predict("shoot")
    first = {name: Path("maps", name).read_bytes() for name in ("a.png", "photographs.parquet")}
    looked.clear()
    assert predict("shoot").stderr.startswith("3 of 3 photographs have their files already\n")
    assert looked == []
    assert {name: Path("maps", name).read_bytes() for name in first} == first
    photograph("c.jpg", seed=1)
    Path("maps/a.png").unlink()
    assert predict("shoot").stderr.startswith("1 of 3 photographs have their files already\n")
    assert sorted(looked) == ["a.jpg", "c.jpg"]
    looked.clear()
    predict("shoot", "--overlay")  # what is asked for beside is made, for all
    assert sorted(looked) == NAMES
    photograph("d.jpg")
    looked.clear()
    predict("shoot")
    assert looked == ["d.jpg"]
    assert [row["map"] for row in table()] == ["a.png", "b.png", "c.png", "d.png"]


def test_maps_of_another_model_or_depth_are_made_again_and_it_is_said(
    looked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    predict("shoot")
    for words in (["--model", "lbp"], ["--model", "lbp", "--bits", "16"]):
        looked.clear()
        told = predict("shoot", *words).stderr
        assert told.startswith("3 maps in maps are by another model, or of other bits, and are made again\n")
        assert sorted(looked) == NAMES

    def stopped(photograph: Path) -> np.ndarray:
        raise KeyboardInterrupt

    detect(monkeypatch, stopped)
    monkeypatch.setenv("DBDFLOW_CORES", "1")
    predict("shoot", code=130)
    assert not {"index.html", "photographs.parquet"} & set(listed("maps"))  # they told of other maps
    assert len(list(Path("maps").glob("*.png"))) == 3


def test_nothing_of_anybodys_is_written_over(looked: list[str]) -> None:
    predict("shoot", "--overlay")
    told = ": not made by this command, or changed since, and would be replaced; name another place, or add --overwrite"
    for name in ("overlay/b.jpg", ".predict/thumbnails/c.jpg", "index.html", "photographs.parquet"):
        path = Path("maps", name)
        ours = path.read_bytes()
        path.write_bytes(ours + b"mine")
        assert refused("shoot", "--overlay") == f"{path}{told}"
        assert path.read_bytes() == ours + b"mine"
        path.write_bytes(ours)
    Image.new("RGB", (9, 9), "red").save("maps/overlay/b.jpg")
    assert refused("shoot", "--overlay", "--overwrite").startswith("maps/overlay/b.jpg: a picture in colour is there, ")
    Path("maps/overlay/b.jpg").unlink()
    os.link("shoot/a.jpg", "maps/overlay/b.jpg")
    assert refused("shoot", "--overlay", "--overwrite").startswith("maps/overlay/b.jpg: is the photograph shoot/a.jpg ")
    Path("maps/overlay/b.jpg").unlink()
    Path("maps/index.html").write_text("mine")
    predict("shoot", "--overlay", "--overwrite")
    assert "What is in focus" in Path("maps/index.html").read_text()


def test_maps_of_another_shoot_stay(looked: list[str]) -> None:
    """Cameras give the same names again. A folder that was moved is the same shoot."""
    predict("shoot")
    before = Path("maps/a.png").read_bytes()
    Path("other").mkdir()
    Image.new("RGB", (5, 5)).save("other/a.jpg")
    told = f"maps/a.png: was made of another photograph, {Path('shoot/a.jpg').resolve()}, and would be replaced; name "
    for photographs in ("other", "other/a.jpg"):
        assert refused(photographs) == f"{told}another --out, or add --overwrite"
    assert Path("maps/a.png").read_bytes() == before
    Path("shoot").rename("moved")
    predict("moved")
    assert {row["path"] for row in table()} == {str(Path("moved", name).absolute()) for name in NAMES}
    predict("other", "--overwrite")
    assert [row["map"] for row in table()] == ["a.png"]


def test_photographs_that_are_links_are_told_as_they_were_named(looked: list[str]) -> None:
    Path("links").mkdir()
    Path("links/x.jpg").symlink_to(Path("shoot/a.jpg").absolute())
    predict("links")
    assert [(row["path"], row["map"]) for row in table()] == [(str(Path("links/x.jpg").absolute()), "x.png")]
    looked.clear()
    predict("links")
    assert looked == []


def test_copied_elsewhere_the_files_are_still_ours(looked: list[str]) -> None:
    """A copy has other times: all is made again, and nothing is taken for somebody else's."""
    predict("shoot", "--overlay", "--cut-out")
    Path("copied").mkdir()
    for name in listed("maps"):
        Path("copied", name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(Path("maps", name), Path("copied", name))
    looked.clear()
    predict("shoot", "--overlay", "--cut-out", "--out", "copied")
    assert sorted(looked) == NAMES


def test_half_a_line_is_not_read_and_a_strange_one_is_named(looked: list[str]) -> None:
    predict("shoot")
    ledger = Path("maps") / LEDGER
    lines = ledger.read_bytes().splitlines(keepends=True)
    ledger.write_bytes(b"".join([*lines[:2], *lines[3:], lines[2][:50]]))
    left = json.loads(lines[2])["photograph"]
    looked.clear()
    predict("shoot")
    assert looked == [Path(left).name]
    assert [json.loads(line) for line in ledger.read_bytes().splitlines()][:2] == [json.loads(x) for x in lines[:2]]
    for strange in (b"text\n", b"[]\n", b'{"photograph": "a"}\n'):
        ledger.write_bytes(lines[0] + strange)
        assert refused("shoot").startswith(f"{ledger}: line 2 is none that predict wrote; take it, index.html ")


def test_two_at_once_do_not_write_to_one_folder(looked: list[str]) -> None:
    Path("maps/.predict").mkdir(parents=True)
    with held(Path("maps") / LOCK, ""):
        assert refused("shoot") == "maps: another predict writes there; wait for it, or name another --out"
    assert looked == []


def test_maps_are_the_same_whatever_the_cores_and_whoever_comes_with_them(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = {"run": "mine", "train": "CUHK-TR-1", "model": "dffnet", "params": {"image_size": 64}}
    write_run(Path("mine"), build_tiny("dffnet"), [], card)
    for number in range(6):
        photograph(f"{number}.png", number)
    for cores in ("1", "3"):
        monkeypatch.setenv("DBDFLOW_CORES", cores)
        predict("shoot", "--model", "mine", "--out", cores)
    monkeypatch.setenv("DBDFLOW_CORES", "2")
    predict("shoot/3.png", "--model", "mine", "--out", "alone")
    maps = [path.name for path in Path("1").glob("*.png")]
    assert len(maps) == 9
    for name in maps:
        assert Path("1", name).read_bytes() == Path("3", name).read_bytes()
    assert Path("alone/3.png").read_bytes() == Path("1/3.png").read_bytes()


def test_a_photograph_made_twice_keeps_the_files_of_the_first_time(looked: list[str]) -> None:
    plan = plan_maps([Path("shoot")], Path("maps"))

    def files() -> dict[str, tuple[int, int]]:
        made = made_of(plan, job_of(plan, "lbp"), "lbp", "cpu")
        return {name: stat for _, row in made if isinstance(row, Row) for name, stat in row.files.items()}

    first = files()
    assert len(first) == 6
    assert files() == first, "same bytes: their times, too"
    Path("maps", "a.png").write_bytes(b"damaged")
    assert {name for name, stat in files().items() if stat != first[name]} == {"a.png"}
    assert len(looked) == 9, "made, every time"
    assert not any(making.is_there(Path(place), b"") for place in ("maps", "maps/none.png")), "not readable: not there"


def test_large_photographs_are_made_one_at_a_time(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two at once, as there are two cores; of large ones, which these then are, one."""
    at_once: list[int] = []
    inside: list[Path] = []

    def levels(photograph: Path) -> np.ndarray:
        inside.append(photograph)
        time.sleep(0.05)
        at_once.append(len(inside))
        inside.remove(photograph)
        return LEVELS

    detect(monkeypatch, levels)
    predict("shoot", "--out", "small")
    assert max(at_once) == 2
    at_once.clear()
    monkeypatch.setattr(making, "LARGE", 0)
    predict("shoot", "--out", "large")
    assert at_once == [1, 1, 1]


def test_a_full_disk_is_named_and_what_is_there_stays(here: Path, looked: list[str], small_disk: Path) -> None:
    for number in range(60):
        photograph(f"{number}.png", number)
    filler = small_disk / "filler"
    filler.write_bytes(bytes(shutil.disk_usage(small_disk).free - 300_000))
    message = refused("shoot", "--out", str(small_disk / "maps"))
    assert message.startswith(f"{small_disk}/maps/")
    assert ": the disk is full, and nothing was written; make room there, or name another place, and run ag" in message
    there = listed(str(small_disk / "maps"))
    assert not [name for name in there if Path(name).name.startswith(".") or name == "index.html"]
    filler.unlink()
    before = len(looked)
    predict("shoot", "--out", str(small_disk / "maps"))
    assert 63 - 40 < len(looked) - before < 63
    assert len(table(str(small_disk / "maps"))) == 63


def test_a_ledger_without_room_is_named(small_disk: Path) -> None:
    """Half a line may stay; whoever goes on cuts it off."""
    row = Row("/a.jpg", (1, 2), "small", {"a.png": (3, 4)}, {"in_focus": 0.5})
    with writing(small_disk) as pen:
        pen.add(row)
    (small_disk / "filler").write_bytes(bytes(shutil.disk_usage(small_disk).free))

    def add_many() -> None:
        with writing(small_disk) as pen:
            for _ in range(100):
                pen.add(row)

    with pytest.raises(InputError, match=r"/\.predict/ledger\.jsonl: the disk is full"):
        add_many()
    (small_disk / "filler").unlink()
    known = read_ledger(small_disk).rows
    assert known == {"/a.jpg": row}
    with writing(small_disk) as pen:
        pen.add(Row("/b.jpg", (1, 2), "small", {}, {}))
    assert list(read_ledger(small_disk).rows) == ["/a.jpg", "/b.jpg"]


SLOW = """
import time
from pathlib import Path
import pytest
from pipelines.cli import main
from tests.photographs.faked import LEVELS, detect

def levels(photograph):
    with Path("looked").open("a") as file:
        file.write(photograph.name + "\\n")
    time.sleep(0.05)
    return LEVELS

detect(pytest.MonkeyPatch(), levels)
main(["predict", "shoot", "--overlay"])
"""


def start() -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", SLOW], env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE, text=True
    )


def made() -> int:
    """Lines of the ledger."""
    ledger = Path("maps") / LEDGER
    return ledger.read_bytes().count(b"\n") if ledger.exists() else 0


def when(count: int, process: subprocess.Popen[str]) -> None:
    while made() < count and process.poll() is None:
        time.sleep(0.01)


def test_killed_at_any_time_it_goes_on_and_does_none_twice(here: Path) -> None:
    """But for those that were under way, one a core."""
    for number in range(40):
        photograph(f"{number}.png", number)
    for count in (8, 30):
        process = start()
        when(count, process)
        process.kill()
        process.communicate()
    done = made()
    assert 30 <= done < 43
    process = start()
    told = process.communicate(timeout=60)[1]
    assert process.returncode == 0, told
    assert told.startswith(f"{done} of 43 photographs have their files already\n")
    looked = Path("looked").read_text().split()
    assert len(set(looked)) == 43
    assert len(looked) <= 43 + 2 * 2
    assert not [name for name in listed("maps") if ".tmp" in name or name.count(".") > 2]
    assert len(table()) == 43
    assert {row["in_focus"] for row in table()} == {200 / 2400}


def test_interrupted_it_ends_at_once_and_says_so(here: Path) -> None:
    for number in range(200):
        photograph(f"{number}.png")
    process = start()
    when(3, process)
    process.send_signal(signal.SIGINT)
    told = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert told.endswith("interrupted; files written so far are whole and stay\n")
    assert made() < 150
    assert not list(Path("maps").glob("index.html"))
