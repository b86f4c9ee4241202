"""Stage `baseline`: the maps of a method that is a function of a photograph, at the photographs' own size."""

import shutil
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from components.common.cores import cores
from components.common.storage import atomic_dir
from components.datasets.prepared import PreparedSet
from components.maps.files import pack_maps
from components.methods import Method, fit, make_map
from components.params import load_params
from components.recipe import training_splits
from pipelines.harness.context import Stage
from pipelines.harness.main import main
from pipelines.harness.pool import pool

FITTED = "fitted.npz"
"""In the stage's output: what a method that learns has learned."""


@dataclass(frozen=True)
class Photograph:
    """A photograph of a test set, and where its map goes until all are made."""

    set: str
    id: str
    path: Path
    map: Path


def baseline(stage: Stage, *, method: str, raw: Path, prepared: Path, out: Path) -> None:
    """Run one method over the test sets of every prepared set. Maps that an interrupted start has made are kept."""
    settings = load_params().baselines[method]
    stage.params({"run": method, "function": settings.function, "train": settings.train})
    named, scratch = Method(method, settings.function), stage.scratch()
    named.find()
    sets = PreparedSet.load_all(prepared)
    photographs = list_photographs(sets, raw, scratch)
    with pool(max(1, min(cores(), len(photographs)))) as processes:
        fitted = None
        if settings.train != "none":
            fitted = scratch / FITTED
            stage.progress(0, len(photographs), f"images: learning from {settings.train} first")
            learn(processes, named, training_splits(settings.train), raw=raw, prepared=prepared, out=fitted)
        make_maps(stage, processes, named, fitted, photographs)
    with atomic_dir(out) as folder:
        for data in sets:
            pack_maps(folder / f"{data.name}.zip", {each.id: each.map for each in photographs if each.set == data.name})
        if fitted is not None:
            shutil.copyfile(fitted, folder / FITTED)
    stage.metrics({"images": len(photographs)})


def list_photographs(sets: list[PreparedSet], raw: Path, scratch: Path) -> list[Photograph]:
    """The photographs of all test sets, and where their maps go."""
    return [
        Photograph(each.name, each.ids[row], raw / each.name / each.rows[row].image, folder / f"{each.ids[row]}.npy")
        for each in sets
        for folder in [scratch / each.name]
        for row in each.test_rows()
    ]


def learn(
    processes: ProcessPoolExecutor,
    method: Method,
    splits: list[tuple[str, str]],
    *,
    raw: Path,
    prepared: Path,
    out: Path,
) -> None:
    """Let a method learn, unless an interrupted start has done so."""
    if not out.exists():
        processes.submit(fit, method, splits, raw, prepared, out).result()


def make_maps(
    stage: Stage, processes: ProcessPoolExecutor, method: Method, fitted: Path | None, photographs: list[Photograph]
) -> None:
    """Make the maps that are not there yet, side by side."""
    to_do = [each for each in photographs if not each.map.exists()]
    done = len(photographs) - len(to_do)
    for ended in as_completed(processes.submit(make_map, method, fitted, each.path, each.map) for each in to_do):
        ended.result()
        done += 1
        stage.progress(done, len(photographs), "images")


if __name__ == "__main__":
    main(baseline)
