"""What MLflow's alias `best` goes by: one number of each trained run, and which runs it can be compared between.

The paper has no validation split, so that this is a choice *by test scores*: a pointer for who wants maps, no claim.
The number is the mean of MAE over the test sets, each counting the same. Of those that share photographs one counts:
EBD and not EBD(1305), which lies in it; of CUHK's two divisions the one of the training split, as photographs of the
other one's test set were trained on.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from components.catalog.test_sets import WITHIN
from components.common.storage import file_hash, read_json
from components.report.provenance import StageFacts
from components.report.summaries import Summary
from pipelines.repo.fingerprint import digest


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


def ranked(summaries: Mapping[str, Summary], models: Path) -> Iterator[dict[str, Any]]:
    """Name, training split, sha256 of the weights and mean MAE of every scored run that was trained here.

    Args:
        summaries: of runs, classical methods and published maps.
        models: folder with `<run>/card.json` and weights.
    """
    for run, summary in summaries.items():
        card, weights = models / run / "card.json", models / run / "model.safetensors"
        train = read_json(card).get("train") if card.exists() else None  # the authors' checkpoints do not say
        if train is not None and (mae := mean_mae(summary, train)) is not None:
            yield {"name": run, "train": train, "weights": file_hash(weights), "mae": mae}


def scored_on(stages: Sequence[StageFacts], upsample: str) -> str:
    """Hash (64 hex digits) of what a mean MAE was taken on: the prepared sets, by what dvc.lock has of them, and how
    maps come to their size."""
    prepared = [[file.path, file.md5] for each in stages if each.name.startswith("prepare@") for file in each.writes]
    return digest([prepared, upsample])
