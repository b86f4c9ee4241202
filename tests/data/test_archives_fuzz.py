"""Archives of any members, names and damage: every file inside the folder and as it was packed, or one error."""

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.acquire.archive_readers import MAGIC
from components.acquire.archives import unpack
from components.common.errors import InputError
from components.common.names import is_junk
from tests.data.archive_builders import TARS, build, unpacked

NAMES = st.one_of(
    st.sampled_from(["a", "b/c", "B/c", "../x", "/x", "C:\\x", "a/../b", "d\\e", "", ".", "./f", "__MACOSX/g", "a/b/"]),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12),
)
MEMBERS = st.dictionaries(NAMES, st.binary(max_size=300), max_size=5)
DAMAGE = st.one_of(
    st.none(),
    st.tuples(st.just("cut"), st.floats(0, 1), st.just(0)),
    st.tuples(st.just("flip"), st.floats(0, 1), st.integers(1, 255)),
)


def damaged(path, damage):
    content = bytearray(path.read_bytes())
    what, share, value = damage
    place = min(int(share * len(content)), len(content) - 1)
    if what == "cut":
        del content[place:]
    else:
        content[place] ^= value
    path.write_bytes(content)


def where(name):
    """Where a member goes that is not refused."""
    return "/".join(part for part in name.replace("\\", "/").split("/") if part not in {"", "."})


def outcome(path, folder):
    """The error of `unpack`, None if it has none; anything but `InputError` is a failure."""
    try:
        unpack(path, folder)
    except InputError as error:
        return str(error)
    return None


def whole_or_refused(kind, files, damage):
    """Unpack into a folder that shows what gets out of it: what was packed, or `InputError` and nothing."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        (root / "deep/er").mkdir(parents=True)
        try:
            build(root / "a", kind, files)
        except Exception:  # the library cannot write such a name
            return
        if damage is not None:
            damaged(root / "a", damage)
        error = outcome(root / "a", root / "deep/er/out")
        out = {root / "deep/er/out", *(root / "deep/er/out").rglob("*")} if error is None else set()
        assert set(root.rglob("*")) == {root / "a", root / "deep", root / "deep/er"} | out
        assert error is None or error.startswith(f"{root}/a: ")
        assert not any(path.is_symlink() for path in out)
        if error is None and (damage is None or kind != "tar"):  # a plain tar has no checksum of its contents
            packed = {where(member): content for member, content in files.items()}
            found = unpacked(root / "deep/er/out")
            assert found.items() <= packed.items()
            there = [member for member in files if member[-1] not in "/\\"]
            expected = {where(member) for member in there if not any(map(is_junk, where(member).split("/")))}
            assert expected <= found.keys()


FUZZ = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)


@settings(FUZZ, max_examples=300)
@given(st.sampled_from(["zip", *TARS, "rar"]), MEMBERS, DAMAGE)
def test_any_members_any_damage(kind, files, damage):
    whole_or_refused(kind, files, damage)


@settings(FUZZ, max_examples=60)
@given(MEMBERS, DAMAGE)
def test_any_7z(files, damage):
    whole_or_refused("7z plain", files, damage)


MARKS = [*(mark for marks in MAGIC.values() for mark in marks), b"Rar!\x1a\x07\x00", b"Rar!\x1a\x07\x01\x00"]


@settings(FUZZ, max_examples=200)
@given(st.sampled_from(MARKS), st.binary(max_size=200))
def test_any_bytes_behind_a_mark(mark, rest):
    with tempfile.TemporaryDirectory() as name:
        path = Path(name, "a")
        path.write_bytes(mark + rest)
        error = outcome(path, Path(name, "out"))
        assert error is None or error.startswith(f"{path}: ")
        assert {each.name for each in Path(name).iterdir()} == ({"a"} if error else {"a", "out"})
