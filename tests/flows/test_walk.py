"""Walking a graph on Dask: order, width, resources, failures, being stopped. No DVC."""

import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner

from components.common.errors import InputError
from pipelines.cli import main
from pipelines.running import engine
from pipelines.running.done import Done
from pipelines.running.engine import Engine
from pipelines.running.gpus import gpus, one_gpu
from pipelines.running.resources import Limits, Machine, Need, read_needs, stage_need
from pipelines.running.walk import Step, Tell, Walk, ranks
from pipelines.system.stopping import Stop

DIAMOND = {"a": frozenset[str](), "b": frozenset({"a"}), "c": frozenset({"a"}), "d": frozenset({"b", "c"})}
MACHINE = Machine(4, 2, 8)


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """Four threads, four cores, two GPUs, eight GiB."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DVC_ROOT", str(tmp_path_factory.mktemp("engine")))
        with engine.embedded(MACHINE, 4) as found:
            yield found


@dataclass(frozen=True)
class Sleeps:
    """Sleeps until it is stopped at most, leaves when it began and ended, and ends as it is told to."""

    folder: Path
    name: str
    seconds: float = 0.05
    end: Done | None = None
    error: str = ""

    def __call__(self, given: Mapping[str, str], tell: Tell, stop: Stop) -> Done:
        begun = time.monotonic()
        with (self.folder / "tries").open("a") as tries:
            tries.write(f"{self.name}\n")
        if self.error:
            raise RuntimeError(self.error)
        tell(f"{given['OMP_NUM_THREADS']} threads, GPU {given['CUDA_VISIBLE_DEVICES']!r}")
        stopped = stop.wait(self.seconds)
        (self.folder / self.name).write_text(f"{begun} {time.monotonic()}")
        return self.end or Done(self.name, "interrupted" if stopped else "ran", self.seconds)


@dataclass
class Seen:
    """What a watcher saw, in order; times as the steps left them."""

    folder: Path
    order: list[str] = field(default_factory=list)
    lines: dict[str, list[str]] = field(default_factory=dict)
    ended: list[str] = field(default_factory=list)

    def begin(self, step: str) -> None:
        self.order.append(step)

    def line(self, step: str, line: str) -> None:
        self.lines.setdefault(step, []).append(line)

    def end(self, done: Done) -> None:
        self.ended.append(done.stage)

    def times(self) -> dict[str, tuple[float, ...]]:
        return {name: tuple(map(float, (self.folder / name).read_text().split())) for name in self.order}

    def most(self, steps: str) -> int:
        """How many of these ran at once."""
        times = [times for name, times in self.times().items() if name in steps]
        return max(sum(begun <= start < ended for begun, ended in times) for start, _ in times)

    def beside(self) -> dict[str, set[str]]:
        """Step -> the steps that ran at the same time, at least for a moment."""
        times = self.times()
        return {
            one: {other for other, (begun, ended) in times.items() if other != one and begun < end and start < ended}
            for one, (start, end) in times.items()
        }


@dataclass
class Walker:
    """Walks graphs of sleeping steps."""

    engine: Engine
    folder: Path

    def __call__(
        self,
        upstream: Mapping[str, frozenset[str]],
        *,
        works: Mapping[str, Mapping[str, object]] | None = None,
        sleep: float = 0.05,
        needs: Mapping[str, Need] | None = None,
        limits: Limits | None = None,
        seconds: Mapping[str, float] | None = None,
        stop: Stop | None = None,
    ) -> tuple[dict[str, Done], Seen]:
        seen, steps = Seen(self.folder), []
        for name, before in upstream.items():
            need = (needs or {}).get(name, Need(cores=0, memory=0))
            work = Sleeps(self.folder, name, **{"seconds": sleep, **(works or {}).get(name, {})})
            steps.append(Step(name, work, need, (limits or Limits()).units(need, MACHINE), before))
        walk = Walk(self.engine.client, steps, seconds=seconds or {}, watcher=seen, stop=stop or Stop())
        return walk.go(), seen


@pytest.fixture
def walk(started: Engine, tmp_path: Path) -> Walker:
    return Walker(started, tmp_path)


def alone(names: str) -> dict[str, frozenset[str]]:
    return {name: frozenset() for name in names}


def test_what_has_no_path_between_it_runs_side_by_side(walk: Walker) -> None:
    done, seen = walk(DIAMOND, sleep=0.3)
    assert {step: each.status for step, each in done.items()} == dict.fromkeys("abcd", "ran")
    assert seen.beside() == {"a": set(), "b": {"c"}, "c": {"b"}, "d": set()}
    assert (seen.order[0], seen.order[-1], seen.ended[-1]) == ("a", "d", "d")


def test_never_more_at_once_than_there_is_room_for(walk: Walker) -> None:
    """Six without a need on four threads; then three GiB each, of eight."""
    assert walk(alone("abcdef"), sleep=0.2)[1].most("abcdef") == 4
    needs = dict.fromkeys("uvwx", Need(cores=0, memory=3))
    assert walk(alone("uvwx"), sleep=0.2, needs=needs)[1].most("uvwx") == 2


def test_a_failure_stops_what_depends_on_it_and_nothing_else(walk: Walker) -> None:
    upstream = DIAMOND | {"x": frozenset({"c"}), "y": frozenset({"d"})}
    done, seen = walk(upstream, works={"b": {"end": Done("b", "failed", 1.0, "boom")}})
    assert {step: each.status for step, each in done.items()} == {
        "a": "ran", "b": "failed", "c": "ran", "x": "ran", "d": "skipped", "y": "skipped",
    }  # fmt: skip
    assert (done["b"].cause, done["d"].cause, done["y"].cause) == ("boom", "needs b", "needs d")
    assert sorted(seen.order) == list("abcx")


def test_what_is_no_part_of_the_walk_is_taken_for_done(walk: Walker) -> None:
    assert walk({"a": frozenset({"elsewhere"})})[0]["a"].status == "ran"


def test_an_error_in_a_step_is_a_failed_step(walk: Walker) -> None:
    done, _ = walk(alone("a"), works={"a": {"error": "a bug"}})
    assert done["a"] == Done("a", "failed", cause="RuntimeError: a bug")


def test_bad_luck_is_tried_again_and_said_and_nothing_else_is(walk: Walker) -> None:
    luck = {"end": Done("a", "failed", cause="no route", again=True)}
    done, seen = walk(
        alone("ab"),
        works={"a": luck, "b": {"end": Done("b", "failed", cause="nonsense")}},
        needs={"a": Need(retries=(0.0, 0.1)), "b": Need(retries=(0.0,))},
    )
    assert sorted((walk.folder / "tries").read_text().split()) == ["a", "a", "a", "b"]
    assert [line for line in seen.lines["a"] if "again" in line] == ["tried again in 0 s: no route"] * 2
    assert (done["a"].status, done["b"].status, seen.order.count("a")) == ("failed", "failed", 1)


@dataclass
class Stops(Seen):
    """Stops the walk as soon as a step has begun."""

    stop: Stop = field(default_factory=Stop)

    def begin(self, step: str) -> None:
        super().begin(step)
        self.stop.set("enough", 143)


def test_stopped_what_runs_is_ended_and_nothing_new_begins(walk: Walker) -> None:
    seen = Stops(walk.folder)
    steps = [Step(name, Sleeps(walk.folder, name, 60), Need(), {}, before) for name, before in DIAMOND.items()]
    begun = time.monotonic()
    done = Walk(walk.engine.client, steps, seconds={}, watcher=seen, stop=seen.stop).go()
    assert time.monotonic() - begun < 20
    assert seen.order == ["a"]
    assert {step: each.status for step, each in done.items()} == {
        "a": "interrupted", "b": "skipped", "c": "skipped", "d": "skipped",
    }  # fmt: skip
    seen.stop.set("again", 1)
    assert (seen.stop.reason, seen.stop.code) == ("enough", 143), "the first reason stays"


def test_a_process_killed_from_outside_stops_the_walk(walk: Walker) -> None:
    stop = Stop()
    walk(DIAMOND, works={"a": {"end": Done("a", "interrupted", cause="killed", stops=True)}}, stop=stop)
    assert stop.reason == "a: killed"


def test_the_longest_way_to_the_end_goes_first(walk: Walker) -> None:
    upstream = {"short": frozenset[str](), "long": frozenset[str](), "after": frozenset({"long"})}
    seconds = {"short": 5.0, "long": 2.0, "after": 4.0}
    assert ranks(upstream, seconds) == {"short": 5.0, "after": 4.0, "long": 6.0}
    hold = {"hold": frozenset[str]()}  # all are handed over while it runs
    needs = dict.fromkeys(("hold", *upstream), Need(cores=4))
    _, seen = walk({**hold, **upstream}, sleep=0.1, needs=needs, seconds={"hold": 99.0, **seconds})
    assert seen.order == ["hold", "long", "short", "after"]


# ---- resources


def test_a_gpu_is_one_steps_alone(walk: Walker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,5")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(walk.folder))
    _, seen = walk(alone("abc") | alone("x"), sleep=0.3, needs=dict.fromkeys("abc", Need(cores=0, gpu=1)))
    told = {step: lines[0] for step, lines in seen.lines.items()}
    assert {told[step].rpartition("GPU ")[2] for step in "abc"} == {"'0'", "'5'"}
    assert told["x"] == "1 threads, GPU ''"
    assert seen.most("abc") == 2


def test_another_reproductions_gpu_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    stop, said = Stop(), list[str]()

    def tell(line: str) -> None:
        said.append(line)
        stop.set("enough")

    with one_gpu(Stop(), said.append) as first, one_gpu(stop, tell) as second:
        assert (first, second) == ("3", "")
    assert said == ["waits for a GPU: other reproductions on this machine have all"]
    with one_gpu(Stop(), said.append) as again:
        assert again == "3"


def test_a_step_uses_its_cores_and_any_also_those_that_nobody_has(walk: Walker) -> None:
    needs = {"a": Need(cores=2, memory=0), "b": Need(cores="any", memory=0), "c": Need(cores=0, memory=0)}
    upstream = {"a": frozenset[str](), "b": frozenset({"a"}), "c": frozenset({"b"})}
    _, seen = walk(upstream, needs=needs)
    assert [seen.lines[step][0].split()[0] for step in "abc"] == ["2", "4", "1"]


@pytest.mark.parametrize(
    ("need", "limits", "units"),
    [
        (Need(), Limits(), {"core": 1, "memory": 1}),
        (Need(cores="threads"), Limits(1, "cpu"), {"core": 1, "memory": 1}),
        (Need(cores="threads"), Limits(0, "cpu"), {"core": 4, "memory": 1}),
        (Need(cores="threads", gpu=1), Limits(0, "cpu"), {"core": 4, "memory": 1}),
        (Need(cores="threads", gpu=1), Limits(), {"core": 1, "gpu": 1, "memory": 1}),  # (4 - 1) // 2: one core stays
        (Need(cores="threads", gpu=1), Limits(2), {"core": 2, "gpu": 1, "memory": 1}),
        (Need(cores=9, memory=100), Limits(), {"core": 4, "memory": 8}),
        (Need(cores="any", network=1), Limits(), {"core": 1, "memory": 1, "network": 1}),
        (Need(cores=0, memory=0), Limits(), {}),
    ],
)
def test_what_a_step_asks_of_a_worker(need: Need, limits: Limits, units: dict[str, int]) -> None:
    assert limits.units(need, MACHINE) == units


def test_the_smallest_of_the_workers_counts() -> None:
    offers = [Machine(16, 0, 64).resources(), Machine(4, 2, 128).resources(), Machine(8, 1, 256).resources()]
    assert Machine.smallest(offers) == Machine(4, 1, 64)
    assert Machine(5, 2, 9).share(2) == Machine(2, 2, 4)
    assert Machine(1, 0, 1).share(4) == Machine(1, 0, 1)


def test_the_embedded_engine_listens_on_the_loopback_alone(started: Engine) -> None:
    heard = [each.laddr.ip for each in psutil.Process().net_connections() if each.status == psutil.CONN_LISTEN]
    assert heard
    assert set(heard) == {"127.0.0.1"}
    assert started.client.scheduler.address.startswith("inproc://")


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("tcp://127.0.0.1:9", r"does not answer \(Connection refused\); start it \(`dbdflow up --workers N`"),
        ("tcp://nowhere.invalid:8786", r"does not answer \(.*[Nn]ame"),
        ("nonsense", r"expected tcp://HOST:PORT, or tls://HOST:PORT"),
        ("http://127.0.0.1:8786", r"expected tcp://HOST:PORT"),
        ("tcp://127.0.0.1", r"expected tcp://HOST:PORT"),
        ("tcp://127.0.0.1:many", r"expected tcp://HOST:PORT"),
    ],
)
def test_an_address_that_cannot_be_used_is_one_line(
    address: str, told: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DBDFLOW_SCHEDULER", address)
    monkeypatch.setattr(engine, "PATIENCE", 0.5)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=f"scheduler {address}: {told}"), engine.started(None):
        pass
    done = CliRunner().invoke(main, ["worker", address])
    assert (done.exit_code, len(done.stderr.splitlines())) == (2, 1)
    assert re.search(f"error: scheduler {address}: {told}", done.stderr)
    assert list(tmp_path.iterdir()) == [], "nothing is left"


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


def test_threads_and_device_of_a_params_file(tmp_path: Path) -> None:
    params = tmp_path / "params.yaml"
    params.write_text("runtime: {threads: 3, device: cpu}\n")
    assert Limits.of(tmp_path) == Limits(3, "cpu")
    params.write_text("seed: 1\n")
    assert Limits.of(tmp_path) == Limits(0, "auto")
