"""`dbdflow ci plan | run | comment` and `diff` on a real history: what reruns, why, what it cost, what moved."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from components.common.errors import InputError
from pipelines.changes import plan as plans
from pipelines.changes import run
from pipelines.changes.compare import compare
from pipelines.changes.pictures import changed_most
from pipelines.changes.plan import make_plan
from pipelines.changes.snapshot import take
from pipelines.cli import main
from pipelines.commands.ci import MARKER
from pipelines.repo import costs
from pipelines.repo.clone import Clone
from pipelines.repo.costs import Cost
from pipelines.repo.fingerprint import load
from pipelines.repo.revisions import clone_at, commit_of
from tests.flows.history import History

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # DVC's own, in this process
CHAIN = ["train@first", "predict@first", "evaluate@first", "report"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> History:
    """Commits: unreproduced, result, README, changed (a rate), scored (its code), changed result."""
    history = History(tmp_path_factory.mktemp("history") / "toy")
    history.reproduce()
    history.commit("result")
    history.write("README.md", "another\n")
    history.commit("README")
    history.replace("params.yaml", "first: 1.0", "first: 2.0")
    history.commit("changed")
    history.call("git", "checkout", "--quiet", "-b", "late")
    history.write("README.md", "a third\n")
    history.commit("README, late")
    history.call("git", "checkout", "--quiet", "main")
    history.reproduce()
    history.commit("changed result")
    history.call("git", "checkout", "--quiet", "-b", "code", history.commits["README"])
    history.replace("lib/score/one.py", "2\n", "3\n")
    history.commit("scored")
    history.call("git", "checkout", "--quiet", "main")
    return history


@pytest.fixture
def history(made: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> History:
    """The repository as the working directory, its state elsewhere."""
    for name in ("DVC_ROOT", "DVC_STAGE", "DBDFLOW_REPRODUCTION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(made.root)
    return made


@pytest.fixture
def copy(made: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> History:
    """A copy of the repository that a test may spoil, as the working directory."""
    shutil.copytree(made.root, tmp_path / "toy", symlinks=True)
    found = object.__new__(History)
    found.root, found.commits = tmp_path / "toy", dict(made.commits)
    monkeypatch.chdir(found.root)
    return found


def call(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


# ---- plan


def test_a_changed_param_reruns_what_depends_on_it(history: History) -> None:
    result = call("ci", "plan", "--base", history.commits["README"], "--head", history.commits["changed"])
    assert result.exit_code == 0, result.output
    base, head = history.commits["README"], history.commits["changed"]
    assert result.stdout.splitlines() == [
        f"{base[:10]} -> {head[:10]}: 4 of 7 stages rerun, 3 stay as they are",
        "  train@first     1 h 00 min (GPU Z)  rates.first: 1.0 -> 2.0",
        "  predict@first   not timed yet       after train@first",
        "  evaluate@first  not timed yet       after predict@first, after train@first",
        "  report          5 s (CPU)           after evaluate@first",
        "5 s on CPU, 1 h 00 min on GPU Z in all last time, one after another (2 of 4 timed)",
    ]


def test_a_changed_readme_reruns_nothing(history: History) -> None:
    plan = make_plan(history.root, history.commits["result"], history.commits["README"])
    assert (plan.to_do, plan.stages, plan.gone, plan.locked) == ({}, 7, [], True)
    assert list(plans.markdown(plan)) == ["**nothing reruns by this change: all 7 stages stay as they are**"]


def test_what_was_out_of_date_before_is_no_doing_of_the_change(history: History) -> None:
    plan = make_plan(history.root, history.commits["changed"], history.commits["README, late"])
    assert plan.due == frozenset(CHAIN) == plan.to_do.keys()
    lines = list(plans.in_words(plan))
    end = "nothing reruns by this change: 3 of 7 stages stay as they are; 4 more were out of date before it"
    assert lines[0].endswith(end)
    assert lines[1].endswith("rates.first: 1.0 -> 2.0  [out of date before this change]")


def test_changed_code_is_named_by_file_and_lines(history: History) -> None:
    plan = make_plan(history.root, history.commits["result"], "code")
    why = ["lib/score changed (lib/score/one.py +1 -1)"]
    assert plan.to_do == {
        "evaluate@first": why,
        "evaluate@second": why,
        "report": ["after evaluate@first", "after evaluate@second"],
    }


def test_without_a_lock_the_files_of_the_revisions_decide(copy: History) -> None:
    copy.call("git", "checkout", "--quiet", "-b", "unlocked", copy.commits["unreproduced"])
    shutil.rmtree(copy.root / "data")  # git does not ignore it here
    copy.replace("params.yaml", "second: 0.5", "second: 0.6")
    loop = "foreach: [{}]\n    do:\n      cmd: python make.py evaluate"
    copy.replace("dvc.yaml", loop.format("first, second"), loop.format("second"))
    copy.commit("another rate")
    plan = make_plan(copy.root, "HEAD~1", "HEAD")
    assert not plan.locked
    assert list(plan.to_do) == ["train@second", "predict@second", "evaluate@second", "report"]
    assert plan.to_do["train@second"] == ["rates.second: 0.5 -> 0.6"]
    assert plan.gone == ["evaluate@first"]
    assert make_plan(copy.root, "HEAD", "HEAD").to_do == {}


def test_a_preset_is_planned_by_its_own_params(copy: History) -> None:
    params = (copy.root / "params.yaml").read_text().replace("name: toy", "name: other")
    copy.write("presets/other.yaml", params)
    copy.commit("a preset")
    copy.replace("presets/other.yaml", "second: 0.5", "second: 0.6")
    copy.commit("another preset")
    plan = make_plan(copy.root, "HEAD~1", "HEAD", "other")
    assert list(plan.to_do) == ["train@second", "predict@second", "evaluate@second", "report"]
    assert not plan.locked, "the dvc.lock is that of another experiment"
    assert make_plan(copy.root, "HEAD~1", "HEAD", "toy").to_do == {}
    with pytest.raises(InputError, match=r"has no presets/none\.yaml"):
        make_plan(copy.root, "HEAD~1", "HEAD", "none")


def test_a_result_that_the_head_has_is_told(history: History) -> None:
    plan = make_plan(history.root, history.commits["README"], history.commits["changed result"])
    assert list(plan.to_do) == CHAIN
    assert plan.made == frozenset(CHAIN)
    assert "  report          5 s (CPU)           after evaluate@first  [its result is in dvc.lock]" in plans.in_words(
        plan
    )


def test_an_output_made_anew_since_reruns_what_used_it(copy: History) -> None:
    """As after `dvc repro -s predict@first` alone."""
    used = load(copy.root / "dvc.lock")["stages"]["predict@first"]["outs"][0]["md5"]
    before, found, after = (copy.root / "dvc.lock").read_text().partition("  predict@first:")
    copy.write("dvc.lock", before + found + after.replace(f"md5: {used}", f"md5: {'0' * 32}.dir", 1))
    copy.commit("half a reproduction")
    plan = make_plan(copy.root, "HEAD", "HEAD")
    assert plan.to_do == {
        "evaluate@first": ["data/predictions/first was made anew since"],
        "report": ["after evaluate@first"],
    }


def test_an_unknown_revision_is_one_message(history: History) -> None:
    result = call("ci", "plan", "--base", "nowhere")
    assert result.exit_code == 2
    assert result.stderr.startswith("error: 'nowhere': no such revision in ")
    assert commit_of(history.root, "main") == history.commits["changed result"]
    with pytest.raises(InputError, match="no such revision"):
        commit_of(history.root, "--help")


# ---- compare


def test_what_moved_between_two_revisions(history: History) -> None:
    before, after = take(history.root, history.commits["README"]), take(history.root, None)
    found = compare(before, after, history.root)
    assert [(each.key, each.before, each.after) for each in found.params] == [("rates.first", "1.0", "2.0")]
    assert [(each.stage, each.why) for each in found.stages] == [
        ("train@first", ("rates.first: 1.0 -> 2.0",)),
        ("predict@first", ("data/models/first changed",)),
        ("evaluate@first", ("data/models/first changed", "data/predictions/first changed")),
        ("report", ("data/scores changed",)),
    ]
    scores = {(each.run, each.metric): (each.before, each.after, each.exceeds) for each in found.metrics}
    assert scores == {
        ("first", "mae"): (1.0, 2.0, True),  # further than 2.83 x 0.1
        ("first", "f_beta"): (0.7, 0.7, None),
        ("first", "iou"): (0.5, 0.5, False),
        ("second", "mae"): (0.5, 0.5, None),
        ("second", "f_beta"): (0.7, 0.7, None),
        ("second", "iou"): (0.5, 0.5, None),
    }
    assert found.moved == ["first"]
    (curve,) = found.curves
    assert (curve.run, curve.recall) == ("first", 0)
    assert curve.precision == pytest.approx(0.1)
    assert after.records["first"].history["loss"].tolist() == [2.0, 1.0]
    assert found.gaps == ()
    pictures = changed_most(history.root, before, after, 1)
    assert (pictures.changed, pictures.compared) == (2, 2)
    (picture,) = pictures.most
    assert (picture.run, picture.dataset, picture.id) == ("first", "cuhk", "a")
    assert picture.difference == pytest.approx(0.375)
    assert picture.strip.shape == (4, 3 * 5 + 2 * 6, 3)
    assert [int(picture.strip[0, column, 0]) for column in (0, 11, 22)] == [96, 191, 96]


def test_diff_writes_text_markdown_and_a_page(history: History, tmp_path: Path) -> None:
    words = ["--markdown", tmp_path / "d.md", "--html", tmp_path / "d.html", "--pictures", 1]
    result = call("diff", history.commits["README"], "main", *words)
    assert result.exit_code == 0, result.output
    assert "  first CUHK-TE-1  MAE 1.0000 → 2.0000 (+1.0000*)  F_beta 0.7000  IoU 0.5000" in result.stdout.splitlines()
    text, page = (tmp_path / "d.md").read_text(), (tmp_path / "d.html").read_text()
    assert "| first | cuhk | a | 0.3750 | ![](d-pictures/first-cuhk-a.png) |" in text
    assert (tmp_path / "d-pictures/first-cuhk-a.png").read_bytes().startswith(b"\x89PNG")
    assert "+1.0000" in page
    assert page.count("data:image/png;base64,") == 1
    assert "http" not in page.replace("http-equiv", "")
    assert page.count('class="line s0 dashed" data-run') == page.count('class="line s0 solid" data-run') == 2


def test_a_verdict_that_flips_is_told(copy: History, tmp_path: Path) -> None:
    copy.call("git", "checkout", "--quiet", "-b", "study", "main")
    for word in ("cannot be told", "holds"):
        copy.write("benchmarks/study/quick/verdicts.csv", f"claim,verdict\nC1,{word}\nC2,does not hold\n")
        copy.commit(word)
    found = compare(take(copy.root, "HEAD~1"), take(copy.root, "HEAD"), copy.root)
    assert [(each.claim, each.before, each.after) for each in found.verdicts] == [
        ("C1 (quick)", "cannot be told", "holds")
    ]
    assert compare(take(copy.root, "HEAD"), take(copy.root, None), copy.root).verdicts == ()
    places = ["--markdown", tmp_path / "d.md", "--html", tmp_path / "d.html"]
    result = call("diff", "HEAD~1", "HEAD", *places, "--pictures", 0)
    assert result.exit_code == 0, result.output
    assert "  C1 (quick): cannot be told -> holds" in result.stdout.splitlines()
    assert "| C1 (quick) | cannot be told | holds |" in (tmp_path / "d.md").read_text()
    assert '<th scope="row">C1 (quick)</th><td>cannot be told</td><td>holds</td>' in (tmp_path / "d.html").read_text()


def test_what_the_cache_lacks_is_told_and_the_rest_is_compared(copy: History) -> None:
    copy.cached("data/predictions/first", "cuhk.zip").unlink()
    spoilt = copy.cached("data/scores/first", "summary.json")
    spoilt.chmod(0o644)
    spoilt.write_bytes(spoilt.read_bytes().replace(b"2.0", b"2.1"))
    result = call("diff", copy.commits["README"])
    assert result.exit_code == 0, result.output
    told = [line for line in result.stdout.splitlines() if line.startswith("! ")]
    assert told[0].startswith("! workspace: data/scores/first/summary.json is damaged in DVC's cache (")
    assert told[1].startswith("! data/predictions/first/cuhk.zip is not in DVC's cache (")
    assert "  first CUHK-TE-1  MAE 1.0000 → –  F_beta 0.7000 → –  IoU 0.5000 → –" in result.stdout.splitlines()
    assert "  rates.first: 1.0 -> 2.0" in result.stdout


def test_a_lock_older_than_the_params_is_told(history: History) -> None:
    (gap,) = take(history.root, history.commits["changed"]).gaps
    told = "dvc.lock is older than its params (train@first): what is shown is the result before them"
    assert gap == f"{history.commits['changed']}: {told}"


# ---- comment


def test_the_comment_has_before_and_after(history: History, tmp_path: Path) -> None:
    out = tmp_path / "ci/comment.md"
    result = call(
        "ci", "comment", "--base", history.commits["README"], "--out", out, "--link", "https://example.invalid/1"
    )
    assert result.exit_code == 0, result.output
    lines = out.read_text().splitlines()
    assert lines[0] == MARKER.format("params") == "<!-- dbdflow ci: params -->"
    assert "| `rates.first` | `1.0` | `2.0` |" in lines
    assert "| `train@first` | `rates.first: 1.0 -> 2.0` (its result is in dvc.lock) | 1 h 00 min (GPU Z) |" in lines
    assert "| first | CUHK-TE-1 | 1.0000 → 2.0000 (**+1.0000**) | 0.7000 | – | – | 0.5000 |" in lines
    assert "<details><summary>1 runs did not move: second</summary>" in lines
    assert "| first | cuhk | a | 0.3750 | `pictures/first-cuhk-a.png` |" in lines
    assert lines[-1].startswith("In [the artifacts of this run](https://example.invalid/1): `diff.html`, `report.html`")
    assert sorted(path.name for path in out.parent.iterdir()) == ["comment.md", "diff.html", "pictures", "report.html"]


def test_a_base_without_a_result_is_told(history: History, tmp_path: Path) -> None:
    result = call("ci", "comment", "--base", history.commits["unreproduced"], "--out", tmp_path / "c.md")
    assert result.exit_code == 0, result.output
    text = (tmp_path / "c.md").read_text()
    assert "has no result: no dvc.lock in it; reproduce it and commit dvc.lock, or `dbdflow ci run` it" in text
    assert "| first | CUHK-TE-1 | – → 2.0000 | – → 0.7000 | – | – | – → 0.5000 |" in text


# ---- run


def test_a_fresh_clone_pulls_what_its_stages_need(copy: History, tmp_path: Path) -> None:
    copy.call("git", "checkout", "--quiet", "code")
    copy.call("dvc", "remote", "add", "--default", "store", str(tmp_path / "store"))
    copy.call("dvc", "push", "--quiet")
    clone_at(copy.root, tmp_path / "fresh", copy.commit("with a remote"))
    shutil.copytree(tmp_path / "fresh", tmp_path / "poor")
    assert list(run.pulled(tmp_path / "fresh", ()).to_do()) == ["evaluate@first", "evaluate@second", "report"]
    there = {path.relative_to(tmp_path / "fresh/data").as_posix() for path in (tmp_path / "fresh/data").glob("*/*")}
    assert there >= {"models/first", "models/second", "predictions/first", "predictions/second"}
    (tmp_path / "poor/.dvc/config").write_text("")
    assert len(run.pulled(tmp_path / "poor", ()).to_do()) == 7


def test_a_clone_takes_nothing_damaged_from_a_remote(copy: History, tmp_path: Path) -> None:
    copy.call("dvc", "remote", "add", "--default", "store", "../store")
    copy.call("dvc", "push", "--quiet")
    whole, spoilt = (copy.cached(f"data/scores/{name}", "summary.json") for name in ("second", "first"))
    kept = tmp_path / "store" / spoilt.relative_to(copy.root / ".dvc/cache")
    kept.chmod(0o644)
    kept.write_bytes(b"spoilt")
    kept.chmod(0o444)
    for path in (whole, spoilt):
        path.unlink()
    clone = Clone(copy.root, tmp_path / "far/away/clone", copy.commit("with a remote"), everything=False)
    clone.make(print)
    run.pull(clone.folder, ["evaluate@first", "evaluate@second"])
    assert (whole.exists(), spoilt.exists()) == (True, False)
    assert (clone.folder / "data/scores/second/summary.json").is_file()
    assert not run.has_outputs(clone.folder, "evaluate@first")


def test_ci_run_makes_a_result_beside_the_workspace(copy: History, tmp_path: Path) -> None:
    copy.call("git", "checkout", "--quiet", "code")
    said = copy.call("python", "-m", "pipelines.cli", "ci", "run", "--base", "HEAD~1")
    assert "HEAD~1:\nnothing to do: all 7 stages are up to date\n" in said
    assert "HEAD:\n7 stages, 3 out of date: 2 ran, 1 found up to date, in " in said
    assert copy.call("git", "status", "--porcelain") == ""
    name = run.result_name(copy.commits["scored"], None)
    assert call("ci", "run").stdout == f"HEAD: its result is there, experiment {name}\n"
    assert call("ci", "comment", "--out", tmp_path / "c.md").exit_code == 0
    text = (tmp_path / "c.md").read_text()
    assert "| `evaluate@first` | `lib/score changed; its outputs are the same` |" in text
    assert "<details><summary>2 runs did not move: first, second</summary>" in text


def test_from_a_sub_folder_it_is_the_same(copy: History, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = (("ci", "plan", "--base", "HEAD~3"), ("diff", "HEAD~3", "HEAD"), ("reproduce", "--dry"))
    copy.replace("params.yaml", "first: 2.0", "first: 3.0")
    before = [call(*words).output for words in commands]
    assert "evaluate@first" in before[2]
    monkeypatch.chdir(copy.root / "lib")
    assert [call(*words).output for words in commands] == before
    assert "told.md: written" in call("diff", "HEAD~3", "HEAD", "--markdown", "told.md").stdout.splitlines()
    assert (copy.root / "lib/told.md").is_file()


# ---- costs


def test_a_cost_near_the_one_written_down_leaves_the_file_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".git").mkdir()
    for seconds, device, expected in ((100, "CPU", 100), (140, "CPU", 100), (151, "CPU", 151), (151, "GPU Z", 151)):
        costs.leave("long", Cost(seconds, device))
        costs.leave("unasked", Cost(1))
        costs.keep(tmp_path, ["long"])
        assert json.loads((tmp_path / costs.FILE).read_text()) == {"long": {"seconds": expected, "device": device}}
    costs.leave("long", Cost(143, "GPU Z"))
    (tmp_path / costs.FILE).chmod(0o444)
    before = (tmp_path / costs.FILE).stat().st_mtime_ns
    costs.keep(tmp_path, ["long"])
    assert (tmp_path / costs.FILE).stat().st_mtime_ns == before
    (tmp_path / costs.FILE).chmod(0o644)
    (tmp_path / costs.FILE).write_text('{"long": 3}')
    with pytest.raises(InputError, match="expected seconds and device of each stage"):
        costs.read(tmp_path / costs.FILE)
