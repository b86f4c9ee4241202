"""The running stage: what it reports to MLflow and Prefect, its scratch folder, its end."""

import json
import logging
import os
import time
import typing
from pathlib import Path
from typing import Any

import psutil

from components.common.storage import read_json
from pipelines.harness.artifacts import Artifacts
from pipelines.harness.scratch import Scratch
from pipelines.repo import costs, executions
from pipelines.repo.costs import Cost
from pipelines.repo.fingerprint import Fingerprint, flatten, load
from pipelines.repo.revisions import git_commit
from pipelines.system import processes
from pipelines.system.progress import Progress
from pipelines.system.stopping import Outcome
from pipelines.tracking.execution import Execution
from pipelines.tracking.run import Run

if typing.TYPE_CHECKING:
    import numpy as np

log = logging.getLogger(__name__)


class Stage:
    """The running stage: what it reports, and where it leaves checkpoints. Nothing that it reports is read back.

    Attributes:
        run: its run in MLflow.
        artifacts: of its flow run in Prefect.
    """

    def __init__(self, function: str, arguments: list[str], depends_on: Fingerprint) -> None:
        self.function, self.arguments, self.depends_on = function, arguments, depends_on
        self.name = depends_on.dvc_stage or " ".join([function, *arguments])
        self.run, self.artifacts = Run(), Artifacts()
        self.execution: Execution | None = None
        self._progress = Progress(self.name)
        self._scratch = Scratch((depends_on.dvc_stage or function), depends_on.digest)

    def params(self, values: dict[str, Any]) -> None:
        """Report parameters, nested: `{"stage1": {"epochs": 3}}` is watched as `stage1.epochs`."""
        self.run.write(lambda store, run: store.log(run, params=flatten(values)))

    def metrics(self, values: dict[str, float], step: int = 0) -> None:
        """Report numbers at one step (epoch, iteration)."""
        numbers = {key: float(value) for key, value in values.items()}
        self.run.write(lambda store, run: store.log(run, metrics=numbers, step=step))

    def image(self, name: str, pixels: "np.ndarray[Any, Any]") -> None:
        """Report a picture, uint8 (H, W) grey or (H, W, 3) RGB, as `<name>.png`; `name` may have folders."""
        from PIL import Image

        assert pixels.dtype == "uint8", pixels.dtype
        picture = Image.fromarray(pixels)
        self.run.write(lambda store, run: store.client.log_image(run, picture, f"{name}.png"))
        self.artifacts.picture(f"{self.name} {name}", picture, f"{name}: photograph, label, map; white = in focus")

    def artifact(self, path: str | Path, folder: str = "") -> None:
        """Report a file or folder as it is now, to be found under `folder`."""
        self.run.write(lambda store, run: store.client.log_artifact(run, str(path), folder or None))

    def dataset(self, *, name: str, digest: str, images: int, source: Path, context: str = "training") -> None:
        """Report a data set that goes in, with the hash of its content, its number of images and where it lies."""
        facts = {"name": name, "digest": digest, "context": context, "source": str(source)}
        self.run.write(lambda store, run: store.log_dataset(run, self.run.above, images=images, **facts))

    def model(self, path: str | Path, *, name: str, experiment: str = "", train: str = "") -> None:
        """Report the weights (safetensors) that come out and the card beside them: a model of MLflow's.

        With the experiment's name and a training split they become a version of that split's registered model.
        """
        path, tags = Path(path), {"dbdflow.model": name}
        card = path.with_name("card.json")
        if card.exists() and (note := read_json(card).get("not_published")):
            tags["dbdflow.not_published"] = note
        self.tags(tags)
        facts = {"name": name, "experiment": experiment, "train": train}
        self.run.write(lambda store, run: store.registry.log(run, self.run.above, path=path, **facts))

    def reproduction(self, *, metrics: dict[str, float], tags: dict[str, str], folder: Path) -> None:
        """Report on the reproduction as a whole, to the run above this stage's: numbers, facts, a folder of files."""
        above = self.run.above
        self.run.write(lambda store, run: store.log(above, metrics=metrics, tags=tags))
        self.run.write(lambda store, run: store.client.log_artifact(above, str(folder)))

    def scored(self, **facts: Any) -> None:  # noqa: ANN401 (as named there)
        """Report what a trained run scored, for the aliases: `tracking.registry.Registry.score` has the names."""
        self.run.write(lambda store, run: store.registry.score(**facts))

    def tags(self, values: dict[str, str]) -> None:
        """Report facts about this execution itself."""
        self.run.write(lambda store, run: store.log(run, tags=values))

    def progress(self, done: float, total: float, message: str = "") -> None:
        """Say how far the stage is."""
        self._progress.show(done, total, message)
        self.artifacts.progress(f"{self.name} progress", done, total, self._progress.text)

    def table(self, name: str, rows: list[dict[str, Any]], description: str) -> None:
        """Report a table, a dictionary a row."""
        self.artifacts.table(f"{self.name} {name}", rows, description)

    def scratch(self) -> Path:
        """A folder for checkpoints, kept when the stage is interrupted and found again by its next start.

        Another parameter or other data get another folder. It is removed when the stage succeeds.
        """
        return self._scratch.open()

    def begin(self, command: str, began: int) -> None:
        """Begin the run in MLflow of a command begun at `began` (unix ms)."""
        me, dvc = processes.Owner.of(psutil.Process()), processes.dvc_ancestor()
        commit, dirty = git_commit()
        self.execution = Execution(
            stage=self.function,
            name=self.name,
            command=command,
            dvc_stage=self.depends_on.dvc_stage,
            deps_hash=self.depends_on.digest,
            owner=str(me),
            reproduction=os.environ.get("DBDFLOW_REPRODUCTION") or str(processes.Owner.of(dvc) if dvc else me),
            commit=commit,
            dirty=dirty,
            params=flatten(load(Path("params.yaml"))),
            sweep=json.loads(os.environ.get("DBDFLOW_SWEEP", "null")),
            began=began,
        )
        self.run.begin(self.execution)

    def watched_as(self, artifacts: Artifacts) -> None:
        """This is a flow run, of these artifacts."""
        self.artifacts = artifacts
        self.tags({"prefect.flow_run_id": artifacts.flow_run, "prefect.api": artifacts.api})
        if self.run.page:
            artifacts.link(f"{self.name} mlflow", f"[{self.name} in MLflow]({self.run.page})")

    def end(self, outcome: Outcome) -> None:
        """End the run in MLflow; a stage that is done leaves how it ran, and no scratch folder."""
        if outcome.status == "FINISHED":
            self._scratch.remove()
            self._keep_seconds()
            self._keep_execution()
        self.run.end(outcome.status, outcome.message)

    def _keep_seconds(self) -> None:
        """Leave how long this process took, for who plans the next reproduction."""
        try:
            costs.leave(self.name, Cost(round(time.time() - psutil.Process().create_time(), 1), costs.device()))
        except OSError as error:
            log.warning("how long %s took is not kept (%s)", self.name, error)

    def _keep_execution(self) -> None:
        """Leave what the report's page says of it; an address is there where a server had one."""
        if self.execution is None or self.depends_on.dvc_stage is None:
            return
        facts = {
            "stage": self.depends_on.dvc_stage,
            "began": self.execution.began,
            "seconds": round(time.time() - self.execution.began / 1000, 1),
            "commit": self.execution.commit,
            "dirty": self.execution.dirty,
            "mlflow_run": self.run.id,
            "mlflow": self.run.page,
            "prefect": self.artifacts.page,
        }
        executions.keep(self.depends_on.digest, facts)

    def resumes(self) -> bool:
        """Whether an interrupted stage goes on where it was."""
        return self._scratch.path is not None
