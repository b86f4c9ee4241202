"""What one revision is and gave: its params, its dvc.lock, its runs' scores, curves and histories, its maps."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from components.errors import InputError
from components.params import EXTERNAL
from components.report.records import RunRecord, read_published_maps, read_run
from pipelines import costs
from pipelines.costs import Costs
from pipelines.experiments import cache_of
from pipelines.fingerprint import load
from pipelines.journal import flatten
from pipelines.outputs import Outputs, fetch
from pipelines.revisions import checked_out, commit_of, short

SCORES, MODELS, PREDICTIONS, PREPARED = "data/scores", "data/models", "data/predictions", "data/prepared"
SMALL = (".json", ".csv")
"""Endings of the files with scores, curves, histories and cards."""
WORKSPACE = "workspace"


@dataclass(frozen=True)
class Snapshot:
    """One revision.

    Attributes:
        name: as it was asked for.
        commit: its hash, None of the workspace.
        params: key of params.yaml -> text.
        stages: those of its dvc.lock.
        records: run -> its scores, curves, history.
        outputs: where its maps are read.
        costs: of its stages.
        gaps: what of its results cannot be read, and why.
    """

    name: str
    commit: str | None
    params: dict[str, str]
    stages: dict[str, Any]
    records: dict[str, RunRecord]
    outputs: Outputs
    costs: Costs
    gaps: tuple[str, ...] = ()

    @property
    def short(self) -> str:
        """The name to show."""
        return short(self.name)

    def without_result(self, why: str) -> "Snapshot":
        """The same revision, nothing of whose result counts."""
        return replace(self, stages={}, records={}, outputs=Outputs({}, self.outputs.cache), gaps=(why,))


def take(root: Path, name: str | None) -> Snapshot:
    """The snapshot of a revision or DVC experiment; of the workspace where there is no name.

    Raises:
        InputError: there is no such revision.
    """
    commit = commit_of(root, name) if name else None
    with checked_out(root, commit) if commit else nullcontext(root) as folder:
        if not (folder / "params.yaml").is_file():
            raise InputError(f"{name or root}: no params.yaml in it, so it is no revision of this project")
        stages = load(folder / "dvc.lock").get("stages", {})
        params, known = load(folder / "params.yaml"), costs.read(folder / costs.FILE)
    outputs = Outputs(stages, cache_of(root))
    told, asked = name or WORKSPACE, [*outputs.below(SCORES), *outputs.below(MODELS)]
    fetch(root, commit, [path for path in asked if outputs.lacking(path, SMALL)])
    gaps = list(without_result(told, stages))
    with laid_out(outputs, asked, gaps, told) as folder:
        records = read_records(outputs, folder, params.get("evaluated", []))
    return Snapshot(told, commit, flatten(params), stages, records, outputs, known, tuple(gaps))


def without_result(name: str, stages: dict[str, Any]) -> Iterator[str]:
    if not stages:
        yield f"{name} has no result: no dvc.lock in it; reproduce it and commit dvc.lock, or `dbdflow ci run` it"


@contextmanager
def laid_out(outputs: Outputs, paths: list[str], gaps: list[str], name: str) -> Iterator[Path]:
    """A folder with the small files of some outputs; what cannot be read is added to `gaps`."""
    with tempfile.TemporaryDirectory(prefix="dbdflow-") as folder:
        for path in paths:
            try:
                outputs.lay_out(path, SMALL, Path(folder))
            except InputError as error:
                gaps.append(f"{name}: {error}")
        yield Path(folder)


def read_records(outputs: Outputs, folder: Path, order: list[str]) -> dict[str, RunRecord]:
    """Run -> what is known of it: those of `order` first, then others, then published maps."""
    scored = [PurePosixPath(path).name for path in outputs.below(SCORES)]
    runs = [run for run in order if run in scored] + [run for run in scored if run not in [*order, EXTERNAL]]
    records = [read_run(run, folder / SCORES, folder / MODELS) for run in runs]
    records += [method.record for method in read_published_maps(folder / SCORES / EXTERNAL)]
    return {record.run: record for record in records if record.summary or record.history}
