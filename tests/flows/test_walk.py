"""Walking a graph with slots: order, width, failures, being stopped. No process is started."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from components.common.errors import InputError
from pipelines.running.resources import Lease, Machine, Need, Slots, gpus, read_needs, stage_need
from pipelines.running.walk import Done, Walk, ranks
from pipelines.system.stopping import Stop

DIAMOND = {"a": frozenset[str](), "b": frozenset({"a"}), "c": frozenset({"a"}), "d": frozenset({"b", "c"})}


class Runner:
    """Runs stages by sleeping; remembers what ran beside what."""

    def __init__(self, seconds: float = 0.05, ends: dict[str, Done] | None = None) -> None:
        self.seconds, self.ends = seconds, ends or {}
        self.now: set[str] = set()
        self.beside: dict[str, set[str]] = {}
        self.most = 0
        self.order: list[str] = []
        self.lock = threading.Lock()

    def __call__(self, stage: str, lease: Lease) -> Done:
        with self.lock:
            self.order.append(stage)
            self.now.add(stage)
            self.most = max(self.most, len(self.now))
            for each in self.now:
                self.beside[each] = self.beside.get(each, set()) | self.now - {each}
        time.sleep(self.seconds)
        with self.lock:
            self.now.discard(stage)
        return self.ends.get(stage, Done(stage, "ran", self.seconds))


def walk(
    upstream: dict[str, frozenset[str]],
    run: Callable[[str, Lease], Done],
    *,
    jobs: int = 4,
    take: Callable[[str], Lease | None] = lambda stage: Lease(),
    seconds: dict[str, float] | None = None,
    stop: Stop | None = None,
) -> dict[str, Done]:
    return Walk(upstream=upstream, seconds=seconds or {}, run=run, take=take, jobs=jobs, stop=stop or Stop()).go()


def test_what_has_no_path_between_it_runs_side_by_side() -> None:
    runner = Runner(0.3)
    done = walk(DIAMOND, runner)
    assert {stage: each.status for stage, each in done.items()} == dict.fromkeys("abcd", "ran")
    assert runner.beside == {"a": set(), "b": {"c"}, "c": {"b"}, "d": set()}
    assert (runner.order[0], runner.order[-1]) == ("a", "d")


def test_never_more_than_the_jobs_at_once() -> None:
    runner = Runner(0.1)
    walk({name: frozenset() for name in "abcdef"}, runner, jobs=2)
    assert runner.most == 2
    assert sorted(runner.order) == list("abcdef")


def test_a_failure_stops_what_depends_on_it_and_nothing_else() -> None:
    upstream = DIAMOND | {"x": frozenset({"c"}), "y": frozenset({"d"})}
    done = walk(upstream, Runner(ends={"b": Done("b", "failed", 1.0, "boom")}))
    assert {stage: each.status for stage, each in done.items()} == {
        "a": "ran", "b": "failed", "c": "ran", "x": "ran", "d": "skipped", "y": "skipped",
    }  # fmt: skip
    assert (done["b"].cause, done["d"].cause, done["y"].cause) == ("boom", "needs b", "needs d")


def test_an_error_in_the_runner_is_a_failed_stage() -> None:
    def run(stage: str, lease: Lease) -> Done:
        raise RuntimeError("a bug")

    assert walk({"a": frozenset()}, run)["a"] == Done("a", "failed", cause="RuntimeError: a bug")


def test_stopped_nothing_new_begins() -> None:
    stop, runner = Stop(), Runner(0.3)
    threading.Timer(0.1, stop.set, ["enough", 143]).start()
    done = walk(DIAMOND, runner, stop=stop)
    assert runner.order == ["a"]
    assert [done[stage].status for stage in "bcd"] == ["skipped"] * 3
    assert (stop.reason, stop.code) == ("enough", 143)
    stop.set("again", 1)
    assert (stop.reason, stop.code) == ("enough", 143), "the first reason stays"


def test_a_process_killed_from_outside_stops_the_walk() -> None:
    stop = Stop()
    walk(DIAMOND, Runner(ends={"a": Done("a", "interrupted", cause="killed", stops=True)}), stop=stop)
    assert stop.reason == "a: killed"


def test_the_longest_way_to_the_end_goes_first() -> None:
    upstream = {"short": frozenset[str](), "long": frozenset[str](), "after": frozenset({"long"})}
    seconds = {"short": 5.0, "long": 2.0, "after": 4.0}
    assert ranks({stage: set(before) for stage, before in upstream.items()}, seconds) == {
        "short": 5.0, "after": 4.0, "long": 6.0,
    }  # fmt: skip
    runner = Runner(0.01)
    walk(upstream, runner, jobs=1, seconds=seconds)
    assert runner.order == ["long", "short", "after"]


# ---- slots


class Recorded(Slots):
    """Slots whose leases end with the test."""

    leases: ClassVar[list[Lease]] = []

    def take(self, need: Need) -> Lease | None:
        if (lease := super().take(need)) is not None:
            self.leases.append(lease)
        return lease


@pytest.fixture
def slots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Slots]]:
    """Slots of one state folder: four cores, two GPUs, eight GiB."""
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    yield lambda threads=1, device="auto": Recorded(Machine(4, ("0", "5"), 8), threads=threads, device=device)
    while Recorded.leases:
        Recorded.leases.pop().release()


def test_a_gpu_is_one_stages_alone(slots: Callable[..., Slots]) -> None:
    first, second = slots(), slots()  # of two reproductions
    one, two = first.take(Need(gpu=1)), second.take(Need(gpu=1))
    assert one is not None
    assert two is not None
    assert {one.environment()["CUDA_VISIBLE_DEVICES"], two.environment()["CUDA_VISIBLE_DEVICES"]} == {"0", "5"}
    assert first.take(Need(gpu=1)) is None
    two.release()
    assert (again := first.take(Need(gpu=1))) is not None
    assert again.of("gpu") == ["5"]


def test_a_stage_without_a_gpu_sees_none(slots: Callable[..., Slots]) -> None:
    lease = slots().take(Need(cores=2))
    assert lease is not None
    assert lease.environment() == {
        "OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2", "OPENCV_FOR_THREADS_NUM": "2",
        "DBDFLOW_CORES": "2", "CUDA_VISIBLE_DEVICES": "",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("need", "threads", "device", "cores"),
    [
        (Need(cores="threads"), 1, "cpu", 1),
        (Need(cores="threads"), 0, "cpu", 4),
        (Need(cores="threads", gpu=1), 0, "cpu", 4),
        (Need(cores="threads", gpu=1), 0, "auto", 1),  # (4 - 1) // 2: the GPUs share them, one core stays
        (Need(cores=9), 0, "cpu", 4),
        (Need(cores="any"), 0, "cpu", 4),
        (Need(cores=0), 0, "cpu", 0),
    ],
)
def test_cores_of_a_stage(slots: Callable[..., Slots], need: Need, threads: int, device: str, cores: int) -> None:
    lease = slots(threads, device).take(need)
    assert lease is not None
    assert len(lease.of("core")) == cores


def test_nothing_is_oversubscribed(slots: Callable[..., Slots]) -> None:
    mine = slots()
    held = [mine.take(Need(cores=2, memory=1)), mine.take(Need(cores=1, memory=1)), mine.take(Need(cores="any"))]
    assert [len(lease.of("core")) for lease in held if lease] == [2, 1, 1]
    assert mine.take(Need(cores=1)) is None
    assert mine.take(Need(cores=0, memory=7)) is None, "five GiB are left"
    free = mine.take(Need(cores=0, memory=5, network=1))
    assert free is not None
    assert mine.take(Need(cores=0, memory=0, network=1)) is not None
    assert mine.take(Need(cores=0, memory=0, network=1)) is None, "two fetch at once"


def test_a_stage_that_needs_more_than_there_is_runs_alone(slots: Callable[..., Slots]) -> None:
    lease = slots().take(Need(memory=100))
    assert lease is not None
    assert len(lease.of("memory")) == 8
    assert slots().take(Need(cores=0, memory=1)) is None


# ---- resources.yaml


def test_needs_are_those_of_the_stage_or_of_its_group() -> None:
    needs = {"train": Need(cores=2), "train@big": Need(cores=4)}
    assert stage_need("train@small", needs).cores == 2
    assert stage_need("train@big", needs).cores == 4
    assert stage_need("report", needs) == Need()


def test_every_stage_of_the_dag_says_what_it_needs() -> None:
    import yaml

    root = Path(__file__).parents[2]
    assert set(read_needs()) == set(yaml.safe_load((root / "dvc.yaml").read_text())["stages"])
    trains = {stage for stage, need in read_needs().items() if need.cores == "threads" and need.gpu}
    assert trains == {
        "depth_teacher", "cache_teacher", "train_stage1", "train_stage1_depth", "distill_stage2", "predict",
    }  # fmt: skip
    retried = {stage for stage, need in read_needs().items() if need.retries}
    assert retried == {"download", "depth_teacher", "published"}, "what touches a network, and none that only trains"


@pytest.mark.parametrize(
    ("text", "message"),
    [("a: {gpus: 1}", r"a\.gpus: .*found 1"), ("a: {cores: some}", r"a\.cores"), ("a: {hours: 0}", r"a\.hours")],
)
def test_a_wrong_line_is_one_message(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "resources.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_needs(path)


def test_a_missing_table_is_one_message(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"resources\.yaml: no such file"):
        read_needs(tmp_path / "resources.yaml")


def test_gpus_are_those_that_may_be_seen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3, GPU-ab")
    assert gpus() == ["3", "GPU-ab"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert gpus() == []
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'GPU 0: H200 (UUID: GPU-1)'\necho 'GPU 1: H200 (UUID: GPU-2)'\necho 'warning'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert gpus() == ["0", "1"]
    tool.unlink()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpus() == []


def test_threads_and_device_of_a_params_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    params = tmp_path / "params.yaml"
    params.write_text("runtime: {threads: 3, device: cpu}\n")
    assert (Slots.of(tmp_path).threads, Slots.of(tmp_path).gpus) == (3, ())
    params.write_text("seed: 1\n")
    assert (Slots.of(tmp_path).threads, Slots.of(tmp_path).gpus) == (0, ("0", "1"))
