"""What each stage cost when it last ran: `costs.json`, beside dvc.lock and to be committed with it.

A plan says what a change will cost where there is nothing but git: no outputs, no MLflow. A stage leaves its time in
`.dbdflow/durations`; a reproduction writes it down at its end. A time near the one that is written down is left as
it is, so that to run a stage again does not change the file.
"""

import json
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from components.common.errors import InputError
from components.common.storage import read_json, write_json
from pipelines.system import environment
from pipelines.system.progress import duration

FILE = "costs.json"
NEAR = 1.5  # times longer or shorter, on the same device: the same cost
SHORT = 10.0  # seconds; differences below are noise
CPU = "CPU"


@dataclass(frozen=True)
class Cost:
    """Wall time in seconds of a stage's process, and the GPU that it used, else `CPU`."""

    seconds: float
    device: str = CPU

    def is_near(self, other: "Cost") -> bool:
        """Whether writing this one in the place of the other would say nothing new."""
        low, high = sorted((self.seconds, other.seconds))
        return self.device == other.device and (high <= NEAR * low or high - low <= SHORT)

    def __str__(self) -> str:
        return f"{duration(self.seconds)} ({self.device})"


Costs = Mapping[str, Cost]


def device() -> str:
    """The GPU that this process has used, by its name; `CPU` if none."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        return str(torch.cuda.get_device_name())
    return CPU


def leave(stage: str, cost: Cost) -> None:
    """Leave what a stage has just cost for who plans the next reproduction."""
    folder = environment.state() / "durations"
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / f"{stage}.json", asdict(cost))


def left() -> dict[str, Cost]:
    """What the stages of this checkout and its experiments cost when they last ran to their end."""
    found = {}
    for path in (environment.state() / "durations").glob("*.json"):
        with suppress(ValueError, KeyError, TypeError):
            found[path.stem] = Cost(**json.loads(path.read_text(encoding="utf-8")))
    return found


def seconds() -> dict[str, float]:
    """Stage -> how long it took when it last ran, seconds."""
    return {stage: cost.seconds for stage, cost in left().items()}


def read(path: Path) -> dict[str, Cost]:
    """What is written down; nothing where there is no file.

    Raises:
        InputError: the file is damaged.
    """
    if not path.exists():
        return {}
    try:
        return {stage: Cost(float(each["seconds"]), str(each["device"])) for stage, each in read_json(path).items()}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path}: damaged ({error!r}), expected seconds and device of each stage; bring it back with git, or "
            "delete it: the next reproduction writes it"
        ) from error


def keep(folder: Path, ran: Iterable[str]) -> None:
    """Write down in a checkout what the stages that ran cost.

    Raises:
        InputError: the file is damaged or cannot be written.
    """
    path, now = folder / FILE, left()
    before = read(path)
    after = dict(before)
    for stage in now.keys() & set(ran):
        if stage not in after or not now[stage].is_near(after[stage]):
            after[stage] = Cost(round(now[stage].seconds), now[stage].device)
    if after != before:
        write_json(path, {stage: asdict(cost) for stage, cost in after.items()})


def summed(costs: Costs, stages: Iterable[str]) -> str:
    """The time of some stages by device, one after another, and for how many it is known; empty if for none."""
    listed = list(stages)
    known = [costs[stage] for stage in listed if stage in costs]
    sums: dict[str, float] = {}
    for cost in known:
        sums[cost.device] = sums.get(cost.device, 0.0) + cost.seconds
    words = ", ".join(f"{duration(seconds)} on {name}" for name, seconds in sorted(sums.items()))
    return f"{words} in all last time, one after another ({len(known)} of {len(listed)} timed)" if known else ""
