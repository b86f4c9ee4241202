"""Names that are no data: every reader of a folder passes them over, and DVC does too."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from dvc.repo import Repo

from components.acquire.layout import folders_below
from components.catalog.images import find_images
from components.common.names import data_below, is_junk
from components.datasets.prepared import PreparedSet
from components.incoming.sets import folder_hash, opened
from components.scoring.external_methods import folders_in
from pipelines.repo.fingerprint import content_hash
from tests.data.archive_builders import build

JUNK = [
    *(".DS_Store", "._1.png", ".1.png.swp", ".#1.png", ".directory", ".~lock.list.csv#", ".nfs0001", "Icon\r"),
    *("Thumbs.db", "thumbs.db", "ehthumbs_vista.db", "desktop.ini", "Desktop.ini", "1.png~", "~$1.png", "1.swp"),
    *("1.swo", "1.png.tmp", "a.zip.part", "a.zip.crdownload", "#1.png#"),
]
JUNK_FOLDERS = [".Trashes", "__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information"]
DATA = ["1.png", "Icons.png", "Icon", "thumbs.png", "a#b.png", "part.png", "1.PNG", "desktop.json"]


def litter(folder: Path) -> None:
    """Leave every kind of junk in a folder."""
    for name in JUNK:
        (folder / name).write_text("junk")
    for name in JUNK_FOLDERS:
        (folder / name).mkdir()
        (folder / name / "2.png").write_text("junk")


@pytest.mark.parametrize(("name", "junk"), [*((n, True) for n in (*JUNK, *JUNK_FOLDERS)), *((n, False) for n in DATA)])
def test_what_is_junk(name: str, junk: bool) -> None:
    assert is_junk(name) is junk


@pytest.fixture
def repo(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Repo]:
    """A project with our `.dvcignore`: a stage that reads one folder of data and makes another."""
    shutil.copy(root / ".dvcignore", tmp_path)
    monkeypatch.chdir(tmp_path)
    for folder in ("data/external/lbp", "data/models/lbp"):
        (tmp_path / folder).mkdir(parents=True)
        for name in DATA:
            (tmp_path / folder / name).write_text(name)
    (tmp_path / "dvc.yaml").write_text(
        "stages: {external: {cmd: 'false', deps: [data/external], outs: [data/models/lbp]}}"
    )
    with Repo.init(str(tmp_path), no_scm=True) as made:
        made.commit(force=True)
        yield made


def test_junk_makes_no_stage_stale(repo: Repo, tmp_path: Path) -> None:
    for folder in ("data/external/lbp", "data/models/lbp"):
        litter(tmp_path / folder)
    assert repo.status() == {}
    for name in DATA:
        place = tmp_path / "data/external/lbp" / name
        place.write_text("another")
        assert repo.status() == {"external": [{"changed deps": {"data/external": "modified"}}]}, name
        place.write_text(name)
    assert repo.status() == {}


def test_dvc_sees_every_file_of_the_project(root: Path) -> None:
    from pipelines.repo.revisions import git

    with Repo(str(root)) as checkout:
        ignored = [
            name
            for name in git(root, "ls-files", "-z").split("\0")[:-1]
            if not name.startswith((".dvc/", ".dbdflow/")) and checkout.dvcignore.is_ignored_file(str(root / name))
        ]
    assert ignored == []


def test_readers_pass_junk_over(tmp_path: Path) -> None:
    folder = tmp_path / "CUHK"
    folder.mkdir()
    (folder / "1.png").write_text("data")
    before = folder_hash(folder), content_hash(folder)
    litter(folder)
    assert (folder_hash(folder), content_hash(folder)) == before
    assert find_images(folder) == {"1": folder / "1.png"}
    assert list(folders_below([folder])) == [folder]
    assert folders_in(folder) == []
    (folder / "2.png").write_text("data")
    assert folder_hash(folder) != before[0]
    assert content_hash(folder) != before[1]


def test_an_archive_that_is_junk_is_not_unpacked(tmp_path: Path) -> None:
    (tmp_path / "sets").mkdir()
    for name in ("a.zip", "._a.zip", "b.zip~"):
        build(tmp_path / "sets" / name, "zip", {"gt/1.png": b"label"})
    roots = opened([tmp_path / "sets"], tmp_path / "scratch")
    assert list(roots.values()) == [tmp_path / "sets", tmp_path / "sets" / "a.zip"]


def test_a_folder_of_junk_among_the_prepared_sets(tmp_path: Path) -> None:
    litter(tmp_path)
    assert PreparedSet.load_all(tmp_path) == []


def test_links_to_folders_are_followed_once(tmp_path: Path) -> None:
    """Also one that leads back up, and two to one folder; a link to nothing is none."""
    real, folder = tmp_path / "disk/real", tmp_path / "set"
    (real / "deep").mkdir(parents=True)
    (real / "deep/1.png").write_text("data")
    (real / "deep/up").symlink_to(real)
    folder.mkdir()
    for name in ("a", "b"):
        (folder / name).symlink_to(real)
    (folder / "broken").symlink_to(tmp_path / "nothing")
    assert list(folders_below([folder])) == [folder, folder / "a", folder / "a/deep"]
    assert data_below(folder) == [folder / "a/deep/1.png"]
    before = content_hash(folder)
    (real / "deep/1.png").write_text("other")
    assert content_hash(folder) != before
