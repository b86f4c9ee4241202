"""The paper's 16 trainings on two GPUs: each after its teacher, one a GPU, none idle while a training could begin."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from components.params import load_params
from pipelines.running import engine
from pipelines.running.done import Done
from pipelines.running.resources import Limits, Machine, read_needs, stage_need
from pipelines.running.walk import Step, Tell, Walk
from pipelines.system.stopping import Stop
from tests.flows.conftest import PROJECT
from tests.flows.test_walk import Seen

MACHINE = Machine(cores=8, gpus=2, memory=64)
PATIENCE = 20.0
"""Seconds that a training waits for company: never, where the engine fills both GPUs."""


@dataclass
class Room:
    """What runs on which GPU; the steps and this test share a process."""

    upstream: Mapping[str, frozenset[str]]
    changed: threading.Condition = field(default_factory=threading.Condition)
    order: list[str] = field(default_factory=list)
    on: dict[str, str] = field(default_factory=dict)
    """GPU -> the training on it."""
    used: dict[str, str] = field(default_factory=dict)
    """Training -> the GPU that it was on."""
    ended: set[str] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)

    def is_full(self) -> bool:
        """Whether both GPUs are used, or nothing is ready that could use the other."""
        ready = [step for step, before in self.upstream.items() if step not in self.order and before <= self.ended]
        return len(self.on) == MACHINE.gpus or not ready

    def train(self, step: str, gpu: str, stop: Stop) -> None:
        with self.changed:
            if gpu in self.on or not self.upstream[step] <= self.ended:
                self.wrong.append(f"{step} on {gpu} beside {self.on}, after {self.ended}")
            self.order.append(step)
            self.on[gpu], self.used[step] = step, gpu
            self.changed.notify_all()
            if not self.changed.wait_for(self.is_full, PATIENCE):
                self.wrong.append(f"{step} had GPU {gpu}, the other one was idle")
        stop.wait(0.05)
        with self.changed:
            self.ended.add(step)
            del self.on[gpu]
            self.changed.notify_all()


rooms: list[Room] = []


@dataclass(frozen=True)
class Training:
    """A toy training: it uses the GPU that it was given."""

    name: str

    def __call__(self, given: Mapping[str, str], tell: Tell, stop: Stop) -> Done:
        rooms[-1].train(self.name, given["CUDA_VISIBLE_DEVICES"], stop)
        return Done(self.name, "ran")


def trainings() -> dict[str, frozenset[str]]:
    """The stages that train by the preset, with the training that each needs."""
    params = load_params(PROJECT / "presets/paper.yaml")
    first = {name: f"train_stage1@{name}" for name in params.stage1_runs}
    alone = [*first.values(), *(f"train_stage1_depth@{name}" for name in params.stage1_depth_runs)]
    second = {f"distill_stage2@{name}": frozenset({first[run.teacher]}) for name, run in params.stage2_runs.items()}
    return dict.fromkeys(alone, frozenset[str]()) | second


def test_the_trainings_of_the_preset_fill_both_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    upstream, needs = trainings(), read_needs()
    rooms.append(room := Room(upstream))
    steps = []
    for name, before in upstream.items():
        need = stage_need(name, needs)
        units = Limits().units(need, MACHINE)
        assert units == {"core": 3, "gpu": 1, "memory": 8}
        steps.append(Step(name, Training(name), need, units, before))
    with engine.embedded(MACHINE, None) as started:
        done = Walk(started.client, steps, seconds={}, watcher=Seen(tmp_path), stop=Stop()).go()
    assert len(upstream) == 16
    assert {step: each.status for step, each in done.items()} == dict.fromkeys(upstream, "ran")
    assert room.wrong == []
    assert sorted(room.order) == sorted(upstream), "each once"
    assert set(room.order[:7]) == {step for step in upstream if step.startswith("train_stage1@")}, "teachers first"
    assert set(room.used.values()) == {"0", "1"}
