"""What the parts of a GPU's day are given, and what they say."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from components.models.runtime import Device, set_up


@dataclass(frozen=True)
class Day:
    """What the day works with.

    Attributes:
        device: cuda, or cpu for a dry run.
        out: folder of all that it writes.
        full: the recipe is run to its end, not extrapolated.
        photographs: CUHK's `image` and `gt`; empty: none.
        parity: the reference's golden tensors; empty: none.
        encoder: ImageNet weights of the CUHK preset's encoder; empty: random ones.
    """

    device: str
    out: str
    full: bool = False
    photographs: str = ""
    parity: str = ""
    encoder: str = ""

    @property
    def work(self) -> Path:
        """Where parts keep what nobody wants afterwards."""
        return Path(self.out) / ".gpu_day"

    @property
    def dry(self) -> bool:
        return self.device == "cpu"

    def set_up(self, precision: Literal["float32", "bfloat16"] = "float32") -> Device:
        """Torch, for this process."""
        return set_up(device=self.device, precision=precision, deterministic=False, threads=0)


@dataclass(frozen=True)
class Row:
    """A line of the day's table: what was measured, its value and unit; None: nothing, and `note` says why."""

    what: str
    value: float | None
    unit: str = ""
    note: str = ""
