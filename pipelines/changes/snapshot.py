"""What one revision is and gave: its params, its dvc.lock, its runs' scores, curves and histories, its maps."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from components.common.errors import InputError
from components.params import EXTERNAL
from components.report.records import RunRecord, read_published_maps, read_run
from components.study.results import read_verdicts
from pipelines.repo.clone import cache_of
from pipelines.repo.fingerprint import Pipeline, flatten, load, resolve
from pipelines.repo.lock_file import recorded_stages
from pipelines.repo.outputs import Outputs, outputs_of
from pipelines.repo.remote import fetch
from pipelines.repo.revisions import checked_out, commit_of, short
from pipelines.running.console import brief

SCORES, MODELS, PREDICTIONS, PREPARED = "data/scores", "data/models", "data/predictions", "data/prepared"
SMALL = (".json", ".csv")
"""Endings of the files with scores, curves, histories and cards."""
STUDY = "benchmarks/study"
WORKSPACE = "workspace"


@dataclass(frozen=True)
class Snapshot:
    """One revision.

    Attributes:
        name: as it was asked for.
        commit: its hash, None of the workspace.
        params: key of params.yaml -> text.
        stages: their entries in its dvc.lock.
        records: run -> its scores, curves, history.
        outputs: where its maps are read.
        verdicts: of the study's claims (docs/study.md), as it has written them down.
        gaps: what of its results cannot be read, and why.
    """

    name: str
    commit: str | None
    params: dict[str, str]
    stages: dict[str, Any]
    records: dict[str, RunRecord]
    outputs: Outputs
    verdicts: dict[str, str]
    gaps: tuple[str, ...] = ()

    @property
    def short(self) -> str:
        """The name to show."""
        return short(self.name)

    def without_result(self, why: str) -> "Snapshot":
        """The same revision, nothing of whose result counts."""
        return replace(self, stages={}, records={}, outputs=Outputs((), self.outputs.cache), gaps=(why,))


def take(root: Path, name: str | None) -> Snapshot:
    """The snapshot of a revision or DVC experiment; of the workspace where there is no name.

    Raises:
        InputError: there is no such revision.
    """
    title, commit = name or WORKSPACE, commit_of(root, name) if name else None
    with checked_out(root, commit) if commit else nullcontext(root) as folder:
        if not (folder / "params.yaml").is_file():
            raise InputError(f"{name or root}: no params.yaml in it, so it is no revision of this project")
        pipeline, params = Pipeline(folder), load(folder / "params.yaml")
        verdicts = read_verdicts(folder / STUDY)
        entries = recorded_stages(folder)  # of stages that are gone, too
        stages = {stage: entries[stage] for stage in pipeline.stages() if stage in entries}
        gaps = list(doubts(title, pipeline, stages))
    outputs = Outputs(outputs_of(stages), cache_of(root))
    asked = [*outputs.below(SCORES), *outputs.below(MODELS)]
    fetch(root, [outputs.outs[path] for path in asked], SMALL)
    with laid_out(outputs, asked, gaps, title) as folder:
        records = read_records(outputs, folder, params.get("evaluated", []))
    return Snapshot(title, commit, flatten(params), stages, records, outputs, verdicts, tuple(gaps))


def doubts(name: str, pipeline: Pipeline, stages: Mapping[str, Any]) -> Iterator[str]:
    """Why the result in dvc.lock may not be that of a revision: there is none, or its params are others now."""
    if not stages:
        yield f"{name} has no result: no dvc.lock in it; reproduce it and commit dvc.lock, or `dbdflow ci run` it"
        return
    late = list(older(pipeline, stages))
    if late:
        yield f"{name}: dvc.lock is older than its params ({brief(late)}): what is shown is the result before them"


def older(pipeline: Pipeline, stages: Mapping[str, Any]) -> Iterator[str]:
    """Stages whose parameters are not those of their entry in dvc.lock."""
    for stage, (definition, scope) in pipeline.stages().items():
        try:
            now = pipeline.values(resolve(definition.get("params", ()), scope))
        except InputError:
            continue  # a parameter that is not there: DVC says so when it is run
        files = stages.get(stage, {}).get("params", {})
        if now != {f"{file}:{key}": value for file, values in files.items() for key, value in values.items()}:
            yield stage


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
