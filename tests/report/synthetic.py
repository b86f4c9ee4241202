"""A small experiment on disk, by the formats that the stages leave: rendered-like photographs, maps, scores, models."""

import csv
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
from PIL import Image

from components.common.availability import Gap, mark
from components.datasets.prepared import COLUMNS
from components.maps.files import write_maps
from components.report.provenance import stage_facts
from components.scoring.evaluation import PER_IMAGE, SCORES
from components.scoring.intervals import INTERVAL
from components.scoring.metrics import count, mean_curve, set_intervals, set_scores
from components.scoring.regions import REGIONS, region_errors, regions

SETS = {
    "cuhk": {"CUHK-TE-1": 8, "CUHK-TE-2": 0},
    "dut": {"DUT-TE": 6},
    "ctcug": {"CTCUG": 7},
    "ebd": {"EBD": 9},
}
WIDE = 3  # the last photographs of EBD
MINIATURE_RUNS = ["hifst", "dffnet", "pdnet", "rdffnet", "d_dffnet", "d_pdnet"]
NOISE = {"hifst": 0.55, "dffnet": 0.32, "pdnet": 0.4, "rdffnet": 0.3, "d_dffnet": 0.26, "d_pdnet": 0.42}
NOISE |= {"published_dffnet_cuhk1": 0.3, "published_d_dffnet_cuhk1": 0.24}


def scene(rng, size, wide):
    """A photograph and its label, 1 = in focus: a disc, its lower half textured, on a smooth ground."""
    y, x = np.mgrid[:size, :size] / size
    cx, cy, radius = rng.uniform(0.3, 0.7), rng.uniform(0.3, 0.7), rng.uniform(0.2, 0.35)
    inside = ((x - cx) ** 2 + (y - cy) ** 2 < radius**2) | wide
    texture = np.where(y > cy, 0.5 + 0.5 * np.sin(40 * x + 3 * rng.random()) * np.sin(34 * y), 0.5)
    ground = 0.35 + 0.4 * y
    colour = rng.uniform(0.5, 1, 3)
    grey = np.where(inside, 0.25 + 0.7 * texture, ground)[..., None]
    return np.uint8(255 * np.clip(grey * colour, 0, 1)), np.uint8(inside)


def soft(rng, label, noise):
    """A plausible map of a label: smooth noise around it, half floats, 1 = in focus."""
    coarse = Image.fromarray(np.float32(rng.uniform(-1, 1, (6, 6)))).resize(label.shape[::-1], Image.Resampling.BICUBIC)
    return np.float16(np.clip(label + noise * (np.asarray(coarse) * 1.6 + (0.5 - label)), 0, 1))


def write_prepared(folder, *, name, images, labels, splits, dof, stems=None, found=None):
    """`stems` names the photographs and their labels, else they are numbered; `found` goes into the report of it."""
    folder.mkdir(parents=True)
    np.save(folder / "images.npy", images)
    np.save(folder / "labels.npy", labels)
    packed = [np.packbits(label) for label in labels]
    np.save(folder / "labels_full.npy", np.concatenate(packed))
    offset = 0
    height, width = labels.shape[1:]
    stems = stems or [str(i) for i in range(len(labels))]
    with (folder / "index.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for i, part in enumerate(packed):
            cells = [f"{name}{i:03d}", f"{stems[i]}.jpg", f"{stems[i]}.png", height, width, offset, dof[i]]
            cells.append(";".join(splits[i]))
            writer.writerow([*cells, f"{labels[i].mean():.6f}"])
            offset += len(part)
    names = sorted({split for row in splits for split in row})
    (folder / "validation.json").write_text(json.dumps({"set": name, "splits": names} | (found or {})))


def write_csv(path, columns, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


def write_scores(folder, scored):
    """`scored`: test set -> (ids, counts, errors within regions)."""
    summary, per_image, curves = {}, [], []
    for test_set, (ids, counts, inside) in scored.items():
        summary[test_set] = set_scores(counts, counts, "pooled")
        summary[test_set][INTERVAL] = set_intervals(counts, counts, "pooled")
        for i, c, r in zip(ids, counts, inside, strict=True):
            errors = ["" if np.isnan(r[region]) else r[region] for region in REGIONS]
            per_image.append([test_set, i, *(getattr(c, key) for key in SCORES), *c.overlap, *errors])
        precision, recall = mean_curve(counts)
        curves += [[test_set, t, p, r] for t, (p, r) in enumerate(zip(precision, recall, strict=True))]
    write_csv(folder / "per_image.csv", PER_IMAGE, per_image)
    write_csv(folder / "curves.csv", ["test_set", "threshold", "precision", "recall"], curves)
    (folder / "summary.json").write_text(json.dumps(summary))


def write_model(folder, run, epochs, rng):
    """A history and a card; a baseline has neither."""
    student = run.startswith("d_")
    rows = []
    for epoch in range(1, epochs + 1):
        dbd = 2.4 * np.exp(-epoch / epochs * 2.2) + rng.normal(0, 0.03) + 0.4
        weight = 3.0 if epoch <= epochs // 5 else 3 * (epoch - epochs // 5) / epochs
        rate = 1e-3 * (1 - epoch / (epochs + 1)) ** 0.9
        features = [0.8 * np.exp(-epoch / epochs), 1.1 * np.exp(-epoch / epochs)]
        total = dbd + weight * sum(features) if student else dbd
        rows.append([epoch, total, dbd, *([*features, weight] if student else []), rate])
    extra = ["defocus_feature_loss", "depth_feature_loss", "distill_weight"] if student else []
    write_csv(folder / "history.csv", ["epoch", "loss", "dbd_loss", *extra, "learning_rate"], rows)
    card = {"run": run, "stage": 2 if student else 1, "backbone": "resnet10t", "train": "CUHK-TR-1", "loss": "bce&el"}
    card |= {"teacher": run[2:] if student else None, "model": run.removeprefix("d_")}
    (folder / "card.json").write_text(json.dumps(card))


def write_experiment(root: Path, *, runs=MINIATURE_RUNS, sets=SETS, size=64, times=1, epochs=12, seed=0, rendered=True):
    """Everything `build_report` reads, under `root`; `times` multiplies the number of photographs."""
    rng = np.random.default_rng(seed)
    scored: dict[str, dict] = {run: {} for run in runs}
    for name, test_sets in sets.items():
        total = times * sum(test_sets.values())
        dof = ["wide" if name == "ebd" and i >= total - WIDE * times else "shallow" for i in range(total)]
        made = [scene(rng, size, each == "wide") for each in dof]
        splits = [[next(iter(test_sets))] + (["EBD(1305)"] if name == "ebd" and d == "shallow" else []) for d in dof]
        labels = np.stack([label for _, label in made])
        images = np.stack([image for image, _ in made])
        masks = [regions(image, label) for image, label in zip(images, labels, strict=True)]
        folder = root / "prepared" / name
        write_prepared(
            folder, name=name, images=images, labels=labels, splits=splits, dof=dof, found={"rendered": rendered}
        )
        for run in runs:
            maps = [soft(rng, label, NOISE.get(run, 0.35)) for label in labels]
            ids = [f"{name}{i:03d}" for i in range(total)]
            write_maps(root / "predictions" / run / f"{name}.zip", zip(ids, maps, strict=True))
            counts = [count(each, label) for each, label in zip(maps, labels, strict=True)]
            inside = [region_errors(*each) for each in zip(maps, labels, masks, strict=True)]
            for split in dict.fromkeys(s for row in splits for s in row):
                rows = [i for i in range(total) if split in splits[i]]
                scored[run][split] = tuple([column[i] for i in rows] for column in (ids, counts, inside))
    for run in runs:
        write_scores(root / "scores" / run, scored[run])
        if run.startswith("published_"):
            write_published(root / "models" / run, run)
        elif run != "hifst":
            folder = root / "models" / run
            folder.mkdir(parents=True)
            write_model(folder, run, epochs, rng)


def write_published(folder, run):
    """What stage `published` leaves of a checkpoint: a history of no epoch, and a card."""
    write_csv(folder / "history.csv", ["epoch"], [])
    (folder / "card.json").write_text(json.dumps({"run": run, "published": True, "backbone": "resnest101e"}))


def write_method(root, name, row, means, *, gaps=None, resized=0, surplus=0):
    """A method's published maps as stage `external` leaves them; `means`: test set -> (MAE, F-beta, IoU, images)."""
    folder = root / "scores/external" / name
    folder.mkdir(parents=True)
    keys = ("mae", "f_beta", "iou", "images")
    if means:
        summary = {test_set: dict(zip(keys, values, strict=True)) for test_set, values in means.items()}
        summary = {name: each | {"f_beta_published": each["f_beta"]} for name, each in summary.items()}
        (folder / "summary.json").write_text(json.dumps(summary))
    sets = {test_set: {"images": v[3], "resized": resized, "surplus": surplus} for test_set, v in means.items()}
    sets |= {test_set: {"gap": asdict(gap)} for test_set, gap in (gaps or {}).items()}
    facts = {"method": name.upper(), "row": row, "white": "in_focus", "resize": "nearest", "source": f"page of {name}"}
    (folder / "method.json").write_text(json.dumps(facts | {"test_sets": sets}))
    index = root / "scores/external/index.json"
    methods = json.loads(index.read_text())["methods"] if index.exists() else []
    index.write_text(json.dumps({"methods": [*methods, name]}))


GAPS = {
    "ctcug": Gap(
        "CTCUG (Tang et al., TPAMI 2020)", "no public link is known", "ask its authors; `dbdflow import ctcug X`"
    ),
    "midas_v21": Gap("MiDaS v2.1", "midas_v21 is among `download.without`", "take it out there"),
    "maps": Gap("CENET on DUT-TE", "data/external/cenet/DUT-TE: 2 maps (7, 9) missing", "add what is missing"),
}
NOTES = ["cuhk_te2.txt was not found: CUHK-TR-2 and CUHK-TE-2 are empty"]
FOUND = {
    "rendered": False,
    "pairs": {"train": {"found": 600, "expected": 600}, "test": {"found": 499, "expected": 500}},
    "white_in_archive": "in_focus",
    "not_binary": {"labels": 31, "mean": 0.0004, "max": 0.0449, "worst": "2.bmp"},
    "height": {"min": 320, "median": 320.0, "max": 320},
    "width": {"min": 213, "median": 320.0, "max": 640},
    "sizes": [{"width": 320, "height": 320, "count": 700}, {"width": 213, "height": 320, "count": 399}],
    "in_focus": {"min": 0.01, "median": 0.31, "max": 0.98, "mean": 0.35, "labels": 1099, "histogram": [*range(10)]},
    "in_focus_by_dof": {"wide": {"min": 0.5, "median": 0.9, "max": 1.0, "mean": 0.8, "labels": 9}},
    "labels_alone": ["gt/7.png"],
    "photographs_alone": [],
    "all_in_focus": [f"gt/{i}.png" for i in range(5)],
    "none_in_focus": [],
    "exact_duplicates": [["a", "b"]],
    "near_duplicates": {
        "found": 2,
        "listed": [{"training": "train-3", "test": "test-4"}, {"training": "train-5", "test": "test-6"}],
    },
}


def write_every_case(root: Path):
    """Real photographs as far as they go: a set that is not there, a partial one, weights and maps of others."""
    published = ["published_dffnet_cuhk1", "published_d_dffnet_cuhk1"]
    runs = [*MINIATURE_RUNS[:4], "d_dffnet", *published]
    sets = {name: each for name, each in SETS.items() if name != "ctcug"}
    write_experiment(root, runs=runs, sets=sets, rendered=False)
    mark(root / "prepared/ctcug", GAPS["ctcug"])
    for name in ("cuhk", "dut"):
        report = root / "prepared" / name / "validation.json"
        more = FOUND | {"notes": NOTES if name == "cuhk" else []}
        report.write_text(json.dumps(json.loads(report.read_text()) | more))
    for run in ("d_pdnet", "d_dffnet_dut"):
        mark(root / "models" / run, GAPS["midas_v21"])
        mark(root / "scores" / run, GAPS["midas_v21"])
    set_images(root, [*MINIATURE_RUNS[:4], "d_dffnet", *published], {"CUHK-TE-1": 100, "DUT-TE": 499, "EBD": 1605})
    write_method(root, "hifst", "hifst", {"CUHK-TE-1": (0.2228, 0.803, 0.762, 100)}, resized=3)
    write_method(
        root, "cenet", "cenet", {"CUHK-TE-1": (0.07, 0.945, 0.93, 99)}, gaps={"DUT-TE": GAPS["maps"]}, surplus=1
    )
    write_method(root, "ours_too", "d_dffnet", {"CTCUG": (0.074, 0.892, 0.878, 150)})
    write_method(root, "newest", "none", {"CUHK-TE-1": (0.03, 0.98, 0.96, 100)})
    write_method(root, "btbnet", "btbnet", {}, gaps={"CTCUG": GAPS["ctcug"]})
    return [*MINIATURE_RUNS[:4], "d_dffnet", "d_pdnet", "d_dffnet_dut", *published]


def set_images(root, runs, images):
    """Say that so many photographs of a test set were scored."""
    for run in runs:
        path = root / "scores" / run / "summary.json"
        summary = json.loads(path.read_text())
        for test_set, number in images.items():
            summary[test_set]["images"] = number
        path.write_text(json.dumps(summary))


BESIDE = {"published_dffnet_cuhk1": "dffnet", "published_d_dffnet_cuhk1": "d_dffnet"}


STAGES = [
    (
        "prepare@cuhk",
        {
            "cmd": "python -m pipelines.stages.prepare --set cuhk",
            "outs": [{"path": "data/prepared/cuhk", "md5": "0f343b0931126a20f133d67c2b018a3b.dir", "size": 1234567}],
        },
        "a" * 64,
    ),
    (
        "evaluate@d_dffnet",
        {
            "cmd": "python -m pipelines.stages.evaluate\n--run d_dffnet",
            "deps": [
                {"path": "components/scoring/metrics.py", "md5": "11", "size": 5},
                {"path": "data/predictions/d_dffnet", "md5": "22.dir", "size": 6000},
            ],
            "params": {"params.yaml": {"departures.iou": "pooled", "image_size": 64}},
            "outs": [{"path": "data/scores/d_dffnet", "md5": "33.dir", "size": 7000}],
        },
        "b" * 64,
    ),
]
PROVENANCE = {
    "commit": "0123456789abcdef0123456789abcdef01234567",
    "params": "name: miniature\nseed: 1\n",
    "stages": [stage_facts(name, entry, digest) for name, entry, digest in STAGES],
    "executions": "../executions.js",
    "versions": {"python": "3.11.2", "torch": "2.15.0", "numpy": "2.4.1"},
}
DEPARTURES = {
    "flip": "vertical",
    "edge_reduction": "mean",
    "stage2_final_weight": 1.0,
    "poly": "paper",
    "iou": "pooled",
}


def arguments(root: Path, name="miniature", runs=MINIATURE_RUNS):
    """Keywords of `build_report` for an experiment under `root`."""
    folders = {key: root / key for key in ("scores", "predictions", "prepared", "models")}
    return {
        "out": root / "report",
        "name": name,
        **folders,
        "teacher": root / "teacher",
        "external": root / "scores/external",
        "beside": BESIDE,
        "departures": DEPARTURES,
        "provenance": PROVENANCE,
        "runs": runs,
        "progress": lambda done, total: None,
    }
