"""What an edit of each folder reruns, by DVC's own verdict: `make touched`, in a checkout with nothing out of date.

One file of every folder of `components/` that a stage of dvc.yaml names gets a comment at its end, one after the other;
DVC says which stages are out of date by themselves, dvc.yaml which ought to be; then the file is as it was.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from pipelines.repo import dag
from pipelines.repo.fingerprint import load

ROOT = Path(__file__).parent.parent
NONE = [Path("components/params.py"), Path("pipelines/harness/context.py"), Path("pipelines/stages/report.py")]
"""Files of no stage: the schema, and what watches."""


def table() -> dict[str, set[str]]:
    """Folder or file of components/ -> the stages (before the @) that name it and that params.yaml has."""
    found: dict[str, set[str]] = {}
    here = {stage.partition("@")[0] for stage in dag.read(ROOT).upstream}
    listed = {stage: words for stage, words in load(ROOT / "dvc.yaml")["stages"].items() if stage in here}
    for stage, words in listed.items():
        for dep in words.get("do", words)["deps"]:
            if dep.startswith("components/"):
                found.setdefault(dep, set()).add(stage)
    return found


def example(dep: str) -> Path:
    """A file of code in a folder, or the file itself."""
    file = ROOT / dep
    return (min(file.glob("[a-z]*.py")) if file.is_dir() else file).relative_to(ROOT)


def words(stages: set[str]) -> str:
    return ", ".join(sorted(stages)) or "nothing"


def stale() -> set[str]:
    """Stages (before the @) that are out of date by themselves."""
    return {stage.partition("@")[0] for stage in dag.read(ROOT).why}


def after_an_edit(file: Path) -> set[str]:
    """Stages that an edit of `file` makes stale; the file is as before afterwards."""
    before = (ROOT / file).read_bytes()
    try:
        (ROOT / file).write_bytes(before + b"# touched\n")
        return stale()
    finally:
        (ROOT / file).write_bytes(before)


def main() -> int:
    """Print the table; the exit code is 1 where DVC and dvc.yaml differ."""
    if found := stale():
        print(f"out of date already: {', '.join(sorted(found))}; run `dbdflow reproduce` first", file=sys.stderr)
        return 2
    expected = {file: set[str]() for file in NONE} | {example(dep): of for dep, of in table().items()}
    wrong = 0
    for file, stages in expected.items():
        found = after_an_edit(file)
        wrong += found != stages
        print(f"{file}: {words(found)}{'' if found == stages else f', but dvc.yaml says {words(stages)}'}", flush=True)
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
