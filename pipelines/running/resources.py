"""What stages need while they run, and what machines have: cores, GPUs, memory, network, as Dask's resources.

A worker offers what its machine has (`Machine.resources`), a step asks for a part (`units`), and Dask lets no more
begin than there is. GPUs are counted so, too, and locked besides, for the whole machine: see `pipelines.running.gpus`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import psutil
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from components.common.cores import cores
from components.common.errors import InputError
from pipelines.repo.fingerprint import load
from pipelines.running.gpus import gpus

TABLE = Path(__file__).with_name("resources.yaml")
FETCHING = 2  # stages that fetch at once, a worker


class Need(BaseModel):
    """A line of `resources.yaml`, which documents the fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cores: Annotated[int, Field(ge=0)] | Literal["threads", "any"] = 1
    gpu: Literal[0, 1] = 0
    memory: Annotated[int, Field(ge=0)] = 1
    network: Literal[0, 1] = 0
    retries: tuple[Annotated[float, Field(ge=0)], ...] = ()
    hours: Annotated[float, Field(gt=0)] = 48.0


def read_needs(path: Path = TABLE) -> dict[str, Need]:
    """Stage, or what stands before its @ -> what it needs.

    Raises:
        InputError: no such file, an unknown key or a value out of range.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; it says what stages need, bring it back (`git checkout`)")
    needs = {}
    for stage, values in load(path).items():
        try:
            needs[stage] = Need.model_validate(values)
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(str(part) for part in (stage, *first["loc"]))
            raise InputError(f"{path}: {key}: {first['msg']}, found {first['input']!r}; its head explains it") from None
    return needs


def stage_need(stage: str, needs: dict[str, Need]) -> Need:
    """What a stage needs: its own line, that of its group, or nothing but a core.

    >>> stage_need("predict@dffnet", {"predict": Need(cores=2)}).cores
    2
    """
    return needs.get(stage) or needs.get(stage.partition("@")[0]) or Need()


@dataclass(frozen=True)
class Machine:
    """What there is: cores, GPUs, GiB of memory."""

    cores: int
    gpus: int
    memory: int

    @classmethod
    def here(cls) -> "Machine":
        return cls(cores(), len(gpus()), max(1, psutil.virtual_memory().total // 2**30))

    @classmethod
    def smallest(cls, offers: Iterable[Mapping[str, float]]) -> "Machine":
        """What each of some workers has at least, by what they offer; GPUs: those of a worker that has any."""
        listed = list(offers)
        least = {kind: min(int(each.get(kind, 1)) for each in listed) for kind in ("core", "memory")}
        cards = [int(each["gpu"]) for each in listed if each.get("gpu")]
        return cls(least["core"], min(cards, default=0), least["memory"])

    def share(self, parts: int) -> "Machine":
        """One of `parts` equal parts, at least a core and a GiB; GPUs go whole to each, their locks keep them apart."""
        return Machine(max(1, self.cores // parts), self.gpus, max(1, self.memory // parts))

    def resources(self) -> dict[str, float]:
        """What a worker of this machine offers, in Dask's words."""
        return {"core": self.cores, "memory": self.memory, "gpu": self.gpus, "network": FETCHING}

    def __str__(self) -> str:
        return f"{self.cores} cores, {self.gpus} GPUs, {self.memory} GiB"


@dataclass(frozen=True)
class Limits:
    """What the params of a checkout leave of a machine: `runtime.threads` (0: all), `runtime.device`."""

    threads: int = 0
    device: str = "auto"

    @classmethod
    def of(cls, root: Path) -> "Limits":
        runtime: dict[str, Any] = load(root / "params.yaml").get("runtime", {})
        return cls(int(runtime.get("threads", 0)), str(runtime.get("device", "auto")))

    def units(self, need: Need, machine: Machine) -> dict[str, int]:
        """What a stage asks of a worker; never more than there is, so that every stage can run alone."""
        gpu = need.gpu if machine.gpus and self.device != "cpu" else 0
        wanted = {"threads": self.threads or machine.cores, "any": 1}.get(str(need.cores), need.cores)
        if gpu and need.cores == "threads" and not self.threads:  # the CPU only feeds it
            wanted = max(1, (machine.cores - 1) // machine.gpus)
        asked = {
            "core": min(int(wanted), machine.cores),
            "gpu": gpu,
            "memory": min(need.memory, machine.memory),
            "network": need.network,
        }
        return {kind: count for kind, count in asked.items() if count}
