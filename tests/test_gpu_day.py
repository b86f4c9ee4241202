"""A GPU's day, dry: every part has its rows, nothing is claimed of a GPU, and no more than what travels is needed."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from benchmarks import gpu_day, gpu_pack

NOT_THERE = """
import sys
from importlib.machinery import PathFinder

LEFT = {"torch", "timm", "cv2", "pandas"}
REFUSED = {
    "click", "cryptography", "dask", "distributed", "dvc", "fastapi", "gdown", "matplotlib", "mlflow", "prefect",
    "psutil", "py7zr", "pyarrow", "pytest", "rarfile", "rich", "scipy", "uvicorn",
}


class Without(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in REFUSED else PathFinder.find_spec(name, path, target)


sys.meta_path = [Without if each is PathFinder else each for each in sys.meta_path]
"""
"""A `sitecustomize` for a machine that has torch, timm, OpenCV and pandas alone."""


PARTS = [part for part in gpu_day.SHARES if part != "candidates"]  # it takes as long as all others


@pytest.fixture(scope="module")
def day(root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, str]:
    """A dry run, without what may be lacking on the machine; `day.json` and `GPU.md`."""
    folder = tmp_path_factory.mktemp("day")
    (folder / "sitecustomize.py").write_text(NOT_THERE)
    inherited = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "OUT")}
    environment = inherited | {"PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1", "DBDFLOW_SHARED": str(folder)}
    command = [sys.executable, str(root / "benchmarks/gpu_day.py"), "--dry", "--out", str(folder / "out")]
    command += ["--only", *PARTS]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return json.loads((folder / "out/day.json").read_text()), (folder / "out/GPU.md").read_text()


def values(day: dict) -> dict[str, float | None]:
    return {row["what"]: row["value"] for rows in day["parts"].values() for row in rows}


def test_every_part_has_its_rows_and_ends_well(day: tuple[dict, str]) -> None:
    found, _ = day
    assert found["ended"] == dict.fromkeys(PARTS, "done")
    assert all(found["parts"][part] for part in PARTS)
    measured = values(found)
    for stage in (1, 2):
        for what in (
            f"stage {stage}: published / ours",
            f"stage {stage}: memory, published / ours",
            f"recipe, stage {stage}: 75 epochs",
            f"recipe, stage {stage}: peak memory",
        ):
            assert measured[what] > 0, what
        ratio = measured[f"stage {stage}: published / ours"]
        ms = [measured[f"stage {stage}: a step, {name}"] for name in ("published", "ours")]
        assert ratio == pytest.approx(ms[0] / ms[1]), "one turn each"
    goldens = [value for what, value in measured.items() if what.startswith("golden, small")]
    assert len(goldens) == 6
    assert max(goldens) < 1e-4
    assert 0 < measured["CUHK: dffnet_best, MAE"] < 1
    assert measured["features cached"] > 0


def test_nothing_is_claimed_of_a_gpu_and_what_is_lacking_is_said(day: tuple[dict, str]) -> None:
    found, page = day
    assert values(found)["GPU"] == 0
    assert "Dry run on the CPU, no figures." in page
    rows = [line.split("|")[1:-1] for line in page.splitlines() if line.startswith("|")][2:]
    assert all(not value.strip() for _, what, value, _ in rows if what.strip()), "no figure"
    assert values(found)["DVC, smoke preset"] is None
    assert "not run: dvc, click, psutil, distributed not installed here" in page


def test_a_part_that_fails_or_hangs_is_a_line_and_the_day_goes_on(tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    report = gpu_day.Report(tmp_path, dry=True, command="")
    here, there = gpu_day.multiprocessing.Pipe()
    there.send({"what": "a", "value": 2.0, "unit": "s", "note": ""})
    rows = gpu_day.heard(here, deadline=0.0)
    report.add("one", next(rows))
    with pytest.raises(StopIteration) as late:
        next(rows)
    there.close()
    with pytest.raises(StopIteration) as gone:
        next(gpu_day.heard(here, deadline=0.0))
    assert (late.value.value, gone.value.value) == ("out of time", "failed: its process ended; its log says more")
    report.end("one", str(late.value.value), 3.0)
    kept = json.loads((tmp_path / "day.json").read_text())
    assert (kept["parts"]["one"][0]["value"], kept["ended"], kept["seconds"]) == (
        2.0,
        {"one": "out of time"},
        {"one": 3.0},
    )
    assert "| one | | 3.0 s | out of time |" in (tmp_path / "GPU.md").read_text()


def test_the_shares_are_eight_minutes() -> None:
    assert sum(gpu_day.SHARES.values()) == 480


# ---- what travels


def wheel(folder: Path, name: str, value: int) -> None:
    with zipfile.ZipFile(folder / name, "w") as archive:
        archive.writestr("travelled_here.py", f"VALUE = {value}\n")


def test_wheels_that_fit_are_unpacked_and_come_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel(tmp_path, "pydantic-2.0-py3-none-any.whl", 3)
    wheel(tmp_path, "pydantic_core-2.0-cp27-cp27mu-manylinux_2_17_x86_64.whl", 4)
    monkeypatch.setattr(sys, "path", list(sys.path))
    used = gpu_pack.use_wheels(tmp_path, tmp_path / "into")
    assert [path.name for path in used] == ["pydantic-2.0-py3-none-any.whl"]
    import travelled_here

    assert travelled_here.VALUE == 3
    assert os.environ["PYTHONPATH"].split(os.pathsep)[0] == str(tmp_path / "into"), "for the processes that are started"


@pytest.mark.parametrize(
    ("name", "package"),
    [
        ("ruamel.yaml.clib-0.2.14-cp312-cp312-manylinux2014_x86_64.whl", "ruamel_yaml_clib"),
        ("pydantic_core-2.49.0-cp312-cp312-manylinux_2_17_x86_64.whl", "pydantic_core"),
    ],
)
def test_a_wheel_is_told_by_its_name(name: str, package: str) -> None:
    assert gpu_pack.package_of(name) == package


def test_a_pack_is_the_source_at_its_commit_and_photographs_that_fit(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    from benchmarks.gpu_trainings import made_up

    (tmp_path / "wheels").mkdir()
    for name in ("pydantic-2.0-py3-none-any.whl", "other-1.0-py3-none-any.whl"):
        wheel(tmp_path / "wheels", name, 1)
    photographs = made_up(tmp_path / "raw")
    assert gpu_pack.pack(tmp_path / "pack", tmp_path / "wheels", photographs, None) == 0
    packed = tmp_path / "pack"
    assert (packed / "source/benchmarks/published.py").read_bytes() == (root / "benchmarks/published.py").read_bytes()
    assert [path.name for path in (packed / "wheels").iterdir()] == ["pydantic-2.0-py3-none-any.whl"]
    for name in ("image", "gt"):
        kept, given = (
            sorted(path.stem for path in (folder / name).iterdir()) for folder in (packed / "photographs", photographs)
        )
        assert kept == given
    assert gpu_pack.size_of(packed) < gpu_pack.LIMIT
    beside = gpu_pack.Beside.of(packed / "source")
    assert (beside.wheels, beside.photographs) == (packed / "wheels", packed / "photographs")
    assert "no wheel of pydantic_core, annotated_types" in capsys.readouterr().out
    before = sorted(packed.rglob("*"))
    assert gpu_pack.pack(packed, None, None, None) == f"error: {packed}: not an empty folder; name a new one"
    assert sorted(packed.rglob("*")) == before


def test_a_process_that_must_not_be_forked_is_started_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def attempt(part: str, day: dict, report: gpu_day.Report, share: float, start: str) -> str:
        tried.append((part, start))
        return "failed: RuntimeError: Cannot re-initialize CUDA in forked subprocess." if part == "goldens" else "done"

    monkeypatch.setattr(gpu_day, "attempt", attempt)
    for part in ("goldens", "DVC"):
        gpu_day.run(part, {}, gpu_day.Report(tmp_path, dry=True, command=""), 5.0)
    assert tried == [("goldens", "forkserver"), ("goldens", "spawn"), ("DVC", "forkserver")]
