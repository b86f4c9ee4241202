"""What MLflow's aliases go by: one number of each trained run for `best`, its errors on CUHK-TE-1 for `champion`.

The paper has no validation split, so that this is a choice *by test scores*: a pointer for who wants maps, no claim.
The number is the mean of MAE over the test sets, each counting the same. Of those that share photographs one counts:
EBD and not EBD(1305), which lies in it; of CUHK's two divisions the one of the training split, as photographs of the
other one's test set were trained on. Where CUHK-TE-1 counts, `champion` is decided there, photograph by photograph.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from components.catalog.test_sets import WITHIN
from components.common.storage import file_hash, read_json
from components.report.paired import difference
from components.report.provenance import StageFacts
from components.report.records import read_per_image
from components.report.summaries import Summary
from pipelines.repo.fingerprint import digest
from pipelines.tracking.registry import Challenge

ARENA = "CUHK-TE-1"


def counts(test_set: str, train: str) -> bool:
    """Whether a test set counts for runs of a training split.

    >>> [counts(test_set, "CUHK-TR-1 & DUT-TR") for test_set in ("CUHK-TE-1", "CUHK-TE-2", "EBD", "EBD(1305)")]
    [True, False, True, False]
    >>> counts("CUHK-TE-1", "CUHK-TR-1-FIT")
    True
    """
    own = {split.replace("-TR", "-TE").removesuffix("-FIT") for split in train.split(" & ")}
    return test_set not in WITHIN and (not test_set.startswith("CUHK-TE") or test_set in own)


def mean_mae(summary: Summary, train: str) -> float | None:
    """The mean MAE over the test sets that count, None if there is none."""
    values = [scores["mae"] for test_set, scores in summary.items() if counts(test_set, train)]
    return sum(values) / len(values) if values else None


def ranked(summaries: Mapping[str, Summary], models: Path, scores: Path, contest: str) -> Iterator[dict[str, Any]]:
    """What `tracking.registry.Registry.score` takes of every scored run that was trained here.

    Args:
        summaries: of runs, classical methods and published maps.
        models: folder with `<run>/card.json` and weights.
        scores: folder with `<run>/per_image.csv`.
        contest: hash of what errors on CUHK-TE-1 were taken on.
    """
    for run, summary in summaries.items():
        card, weights = models / run / "card.json", models / run / "model.safetensors"
        train = read_json(card).get("train") if card.exists() else None  # the authors' checkpoints do not say
        if train is not None and (mae := mean_mae(summary, train)) is not None:
            errors = errors_of(scores / run / "per_image.csv") if counts(ARENA, train) else {}
            challenge = Challenge(errors, contest, judged) if errors else None
            yield {"name": run, "train": train, "weights": file_hash(weights), "mae": mae, "challenge": challenge}


def errors_of(per_image: Path) -> dict[str, float]:
    """MAE of each photograph of CUHK-TE-1, by its id; nothing where it was not scored."""
    tables = read_per_image(per_image)
    return tables[ARENA]["mae"].to_dict() if ARENA in tables else {}


def judged(champion: Mapping[str, float], challenger: Mapping[str, float]) -> tuple[bool, str]:
    """Whether a challenger's MAE on CUHK-TE-1 is lower beyond chance: its 95 % paired interval; and the figures."""
    before, after = (pd.DataFrame({"mae": pd.Series(errors)}) for errors in (champion, challenger))
    found = difference(before, after, "mae")
    if found is None:
        return False, "no photograph in common"
    interval = f"{found.mean:+.4f} ({found.low:+.4f} to {found.high:+.4f})"
    return found.high < 0, f"MAE on {ARENA} {interval} over {found.images} photographs"


def scored_on(stages: Sequence[StageFacts], upsample: str) -> str:
    """Hash (64 hex digits) of what a mean MAE was taken on: the prepared sets, by what dvc.lock has of them, and how
    maps come to their size."""
    prepared = [[file.path, file.md5] for each in stages if each.name.startswith("prepare@") for file in each.writes]
    return digest([prepared, upsample])
