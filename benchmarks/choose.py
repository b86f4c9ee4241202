"""What the recipe `best` was chosen by: trained on CUHK-TR-1-FIT, scored on CUHK-TR-1-VAL, a row of choices.csv each.

`python benchmarks/choose.py best1.epochs=8` trains DFFNet of presets/cuhk_small.yaml with these values on the sets that
`make cuhk` prepared; `--teacher FOLDER` distils D-DFFNet from such a run, kept by `--keep FOLDER`. CUHK-TE-1 is never
read. Interrupted, the same command goes on after its last whole epoch.
"""

import argparse
import csv
import hashlib
import io
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from clock import machine
from origin import ROOT, commit
from ruamel.yaml import YAML

from components.common.storage import atomic_path
from components.datasets.prepared import PreparedSet
from components.maps.inference import predict_maps
from components.models.checkpoints import load_weights
from components.models.network import Network
from components.models.run_files import WEIGHTS, EpochRecord, write_run
from components.models.runtime import Device, set_up
from components.params import Params, parse_params
from components.scoring.evaluation import resize_map
from components.scoring.metrics import count, set_scores
from components.train import experiment, teachers
from components.train.training import fit
from pipelines.running.experiments import put
from pipelines.system.progress import Progress

OUT = ROOT / "benchmarks" / "choices.csv"
PRESET = ROOT / "presets" / "cuhk_small.yaml"
FIT, VAL = "CUHK-TR-1-FIT", "CUHK-TR-1-VAL"
RUN, STUDENT = "dffnet_best", "d_dffnet_best"
COLUMNS = ("date", "commit", "machine", "run", "changes", "minutes", "maps", "mae", "f_beta", "iou")
YAML12 = YAML(typ="safe", pure=True)


def chosen(changes: list[str]) -> Params:
    """The preset with values changed, trained on the photographs to fit."""
    params: dict[str, Any] = YAML12.load(PRESET.read_text())
    put(params, f"stage1_runs.{RUN}.train", FIT)
    for each in changes:
        key, _, value = each.partition("=")
        put(params, key, YAML12.load(value))
    return parse_params(params, str(PRESET))


def trained(
    params: Params, teacher: Path | None, data: Path, scratch: Path, device: Device
) -> Iterator[EpochRecord | Network]:
    """Train the run, or distil from `teacher`; the records, and then the model."""
    first, inbox = params.stage1_runs[RUN], data / "archives"
    images = experiment.training_set(first.train, data / "prepared", device, large=True)
    if teacher is None:
        name, objective = RUN, experiment.stage1_objective(params, first, None)
        model = experiment.new_model(params, name, first, device, inbox)
        course = experiment.course_of(params, name, first, views=0)
    else:
        name, second, params = STUDENT, params.stage2_runs[STUDENT], params.with_teachers_online()
        model = experiment.new_model(params, name, first, device, inbox)
        weights = {
            "defocus": teacher / WEIGHTS,
            "depth": data / "weights/depth_teacher" / WEIGHTS,
        }
        load_weights(weights["defocus"], model)
        both = {
            key: teachers.run_online(params, path, teachers.LEVELS, device, teachers.encode_features)
            for key, path in weights.items()
        }
        objective = experiment.stage2_objective(params, second, model, both)
        course = experiment.course_of(params, name, second, views=0)
    yield from fit(model, objective, images, course, device=device, checkpoint=scratch)
    yield model


def scores(model: Network, prepared: PreparedSet, device: Device, *, best: bool) -> dict[str, float]:
    """Of the validation photographs, by the rules of CUHK-TE-1; `best`: as the recipe's maps are made."""
    rows = prepared.split(VAL)
    found = predict_maps(model, prepared.images[rows], batch_size=12, device=device.device, best=best)
    labels = [prepared.full_label(int(row)) for row in rows]
    maps = (each for batch in found for each in batch)
    counts = [count(resize_map(each, label.shape, "nearest"), label) for each, label in zip(maps, labels, strict=True)]
    return set_scores(counts, counts, "pooled")


def keep(rows: list[dict[str, str]]) -> None:
    """Add rows to choices.csv."""
    text = io.StringIO(OUT.read_text() if OUT.exists() else "")
    old = list(csv.DictReader(text))
    with atomic_path(OUT) as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows([*old, *rows])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("changes", nargs="*", metavar="KEY=VALUE")
    parser.add_argument("--data", type=Path, default=ROOT / "data")
    parser.add_argument("--teacher", type=Path, help="folder of a kept run: distil from it")
    parser.add_argument("--keep", type=Path, help="folder for the trained run")
    asked = parser.parse_args()
    logging.basicConfig(format="%(message)s", level=logging.INFO)
    params = chosen(asked.changes)
    device, begun = set_up(**params.runtime.model_dump()), time.monotonic()
    what = hashlib.sha256(f"{params.model_dump_json()}{asked.teacher}".encode()).hexdigest()[:16]
    scratch = ROOT / ".dbdflow" / "choose" / f"{what}.pt"
    progress = Progress(STUDENT if asked.teacher else RUN)
    records: list[EpochRecord] = []
    for each in trained(params, asked.teacher, asked.data, scratch, device):
        if isinstance(each, EpochRecord):
            records.append(each)
            progress.show(each.epoch, each.epochs, f"epochs, loss {each.values['loss']:.4f}")
        else:
            model = each
    minutes = (time.monotonic() - begun) / 60
    run = STUDENT if asked.teacher else RUN
    if asked.keep:
        card = experiment.run_card(
            params,
            run,
            2 if asked.teacher else 1,
            params.stage1_runs[RUN],
            params.best1,
            changes=" ".join(asked.changes),
        )
        write_run(asked.keep, model, records, card)
    facts = {
        "date": time.strftime("%Y-%m-%d"),
        "commit": commit(),
        "machine": machine(device.device),
        "run": run,
        "changes": " ".join(asked.changes),
        "minutes": f"{minutes:.1f}",
    }
    prepared = PreparedSet.load(asked.data / "prepared" / "cuhk")
    rows = []
    for best in (False, True):
        found = scores(model.eval(), prepared, device, best=best)
        said = {key: f"{found[key]:.4f}" for key in ("mae", "f_beta", "iou")}
        rows.append(facts | {"maps": "best" if best else "plain"} | said)
        print(rows[-1])
    keep(rows)


if __name__ == "__main__":
    main()
