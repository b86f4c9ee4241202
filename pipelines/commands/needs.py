"""What each published thing is needed for, by the runs of a params file and the test sets of the paper's tables."""

from collections.abc import Iterable

from components.acquire.sources import BACKBONES, CHECKPOINTS, MIDAS, TE2
from components.catalog.sets import SETS
from components.params import Params
from components.recipe import training_splits


def needs(params: Params) -> dict[str, str]:
    """Item (a part of a set as `set/part`, a list, a file of weights, a backbone) -> what it is needed for."""
    splits = {run: {split for _, split in training_splits(first.train)} for run, first in params.first_runs.items()}
    splits |= {run: splits[settings.teacher] for run, settings in params.stage2_runs.items()}
    first = params.first_runs
    return {
        **parts(splits),
        TE2: rows(trains(splits, {"CUHK-TR-2"}), ["CUHK-TE-2"]),
        MIDAS.name: rows([*params.stage1_depth_runs, *params.stage2_runs]),
        **{
            name: f"rows beside {params.published[name].beside}" if name in params.published else rows([])
            for name in CHECKPOINTS
        },
        **{
            name: rows([run for run in first if first[run].pretrained is True and first[run].backbone == name])
            for name in BACKBONES
        },
    }


def parts(splits: dict[str, set[str]]) -> dict[str, str]:
    """What each part of each set is needed for."""
    found = {}
    for dataset in SETS.values():
        listed = {split for each in dataset.listed for split in (each.train, each.test)}
        shallow = {dataset.shallow.split} if dataset.shallow else set()
        for part in dataset.parts:
            held = set(part.splits) | listed | shallow
            tests = sorted(split for split in held if "-TR" not in split)
            found[f"{dataset.name}/{part.name}"] = rows(trains(splits, held), tests)
    return found


def trains(splits: dict[str, set[str]], held: set[str]) -> list[str]:
    """Runs that train on one of the splits `held`."""
    return [run for run, own in splits.items() if own & held]


def rows(runs: list[str], tests: Iterable[str] = ()) -> str:
    """Runs and test sets in words."""
    words = [f"training {', '.join(runs) if len(runs) < 4 else f'{len(runs)} runs'}"] if runs else []
    words += [f"testing on {', '.join(tests)}"] if tests else []
    return " and ".join(words) or "nothing in this params file"
