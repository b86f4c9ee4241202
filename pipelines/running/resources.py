"""What stages need while they run, and who has it: cores, GPUs, memory, network.

Each unit (a core, a GPU, a GiB, one fetching stage) is a slot: a file under `.dbdflow/slots`, locked while it is
used. The kernel lets go of it when its process dies, and two reproductions that share a checkout's state share them.
"""

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

import psutil
from filelock import BaseFileLock
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from components.common.cores import cores
from components.common.errors import InputError
from pipelines.repo.fingerprint import load
from pipelines.system import environment, locks
from pipelines.system.environment import THREADS

TABLE = Path(__file__).with_name("resources.yaml")
FETCHING = 2  # stages that fetch at once


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


def gpus() -> list[str]:
    """The GPUs that may be used, as `CUDA_VISIBLE_DEVICES` names them; asked without importing torch (2 s)."""
    if (visible := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return [name.strip() for name in visible.split(",") if name.strip() not in ("", "-1", "NoDevFiles")]
    if shutil.which("nvidia-smi") is None:
        return []
    done = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True, check=False, timeout=60)
    return [str(number) for number, line in enumerate(done.stdout.splitlines()) if line.startswith("GPU ")]


@dataclass(frozen=True)
class Machine:
    """What there is: cores, GPU names, GiB of memory."""

    cores: int
    gpus: tuple[str, ...]
    memory: int

    @classmethod
    def here(cls) -> "Machine":
        return cls(cores(), tuple(gpus()), max(1, psutil.virtual_memory().total // 2**30))

    def __str__(self) -> str:
        return f"{self.cores} cores, {len(self.gpus)} GPUs, {self.memory} GiB"


@dataclass
class Lease:
    """Slots that one stage holds: their names (`core/0`, `gpu/1` ..) and locks."""

    held: dict[str, BaseFileLock] = field(default_factory=dict)

    def of(self, kind: str) -> list[str]:
        """Names of the slots of one kind, without the kind."""
        return [name.partition("/")[2] for name in self.held if name.startswith(f"{kind}/")]

    def environment(self) -> dict[str, str]:
        """What the stage's process is told: its GPU alone, its number of threads."""
        threads = str(max(1, len(self.of("core"))))
        return dict.fromkeys(THREADS, threads) | {"CUDA_VISIBLE_DEVICES": ",".join(self.of("gpu"))}

    def release(self) -> None:
        for lock in self.held.values():
            lock.release()
        self.held.clear()


class Slots:
    """All slots of one checkout's state folder."""

    def __init__(self, machine: Machine, *, threads: int, device: str) -> None:
        self.machine, self.threads = machine, threads
        self.gpus = () if device == "cpu" else machine.gpus
        self._lock = threading.Lock()

    @classmethod
    def of(cls, root: Path) -> "Slots":
        """Those of this machine that the params of a checkout leave."""
        runtime = load(root / "params.yaml").get("runtime", {})
        return cls(Machine.here(), threads=int(runtime.get("threads", 0)), device=str(runtime.get("device", "auto")))

    @cached_property
    def folder(self) -> Path:
        folder = environment.state() / "slots"
        for kind in ("core", "gpu", "memory", "network"):
            (folder / kind).mkdir(parents=True, exist_ok=True)
        return folder

    def take(self, need: Need) -> Lease | None:
        """All that `need` says, or nothing; never more than there is, so that every stage can run alone."""
        lease = Lease()
        with self._lock:
            for kind, count in self._counts(need).items():
                for name in self._free(kind):
                    if len(lease.of(kind)) < count and (lock := locks.take(self.folder / kind / name)):
                        lease.held[f"{kind}/{name}"] = lock
                if len(lease.of(kind)) < count:
                    lease.release()
                    return None
            if need.cores == "any":
                for name in self._free("core"):
                    if f"core/{name}" not in lease.held and (lock := locks.take(self.folder / "core" / name)):
                        lease.held[f"core/{name}"] = lock
        return lease

    def _counts(self, need: Need) -> dict[str, int]:
        on_gpu = need.gpu and self.gpus
        wanted = {"threads": self.threads or self.machine.cores, "any": 1}.get(str(need.cores), need.cores)
        if on_gpu and need.cores == "threads" and not self.threads:  # the CPU only feeds it
            wanted = max(1, (self.machine.cores - 1) // len(self.gpus))
        return {
            "core": min(int(wanted), self.machine.cores),
            "gpu": int(bool(on_gpu)),
            "memory": min(need.memory, self.machine.memory),
            "network": need.network,
        }

    def _free(self, kind: str) -> Iterator[str]:
        """Names of the slots of a kind, in use or not."""
        numbers = {"core": self.machine.cores, "memory": self.machine.memory, "network": FETCHING}
        return iter(self.gpus if kind == "gpu" else [str(number) for number in range(numbers[kind])])


def stage_need(stage: str, needs: dict[str, Need]) -> Need:
    """What a stage needs: its own line, that of its group, or nothing but a core.

    >>> stage_need("predict@dffnet", {"predict": Need(cores=2)}).cores
    2
    """
    return needs.get(stage) or needs.get(stage.partition("@")[0]) or Need()
