"""That preparing, caching a teacher and scoring cost the same for every image: writes benchmarks/SCALING.md and .svg.

    python benchmarks/scaling.py [--sizes 250 500 1000 2000] [--rounds 2]

Stand-in photographs of 640x480 at 96x96 network size, and the miniature's depth teacher with random weights.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
import matplotlib as mpl
import numpy as np
import torch
from matplotlib.figure import Figure

from benchmarks import prepare as stand_in
from benchmarks.clock import machine, timed
from components.datasets.loader import Jitter
from components.datasets.prepared import PreparedSet
from components.maps.files import MapArchive, write_maps
from components.models.registry import build_model
from components.prepare.build import prepare_set
from components.scoring.evaluation import score_set
from components.train.teacher_cache import Plan, write_cache
from components.train.teachers import encode_depth

HERE = Path(__file__).parent
SIDE = 96
CPU = torch.device("cpu")
KINDS = ("prepare", "cache", "evaluate")


def subset(raw: Path, folder: Path, count: int) -> Path:
    """The first `count` pairs, as links."""
    for part in ("EBD/image", "EBD/gt"):
        (folder / part).mkdir(parents=True)
        for number in range(1, count + 1):
            (path,) = (raw / part).glob(f"{number}.*")
            (folder / part / path.name).symlink_to(path)
    return folder


def measure(raw: Path, folder: Path, count: int, encode: Callable[..., dict[str, torch.Tensor]]) -> dict[str, float]:
    """Seconds of the three stages' work on so many images."""
    few, out = subset(raw, folder / "raw", count), folder / "prepared"
    took = {"prepare": timed(lambda: prepare_set("ebd", few, out, image_size=SIDE, partial=True), CPU)}
    data = PreparedSet.load(out)
    images = torch.from_numpy(np.ascontiguousarray(data.images.transpose(0, 3, 1, 2)))
    plan = Plan("random", SIDE, "vertical", "float16", Jitter(0.1, 0.1, 0.1), seed=0)
    took["cache"] = timed(
        lambda: list(write_cache(encode, images, data.ids, folder / "cache", plan, views=1, batch_size=12)), CPU
    )
    write_maps(folder / "maps.zip", zip(data.ids, data.labels.astype(np.float16), strict=True))
    tests = {"EBD": np.arange(len(data))}
    with MapArchive(folder / "maps.zip") as maps:
        scored = score_set(maps.__getitem__, data, tests, upsample="nearest", iou_size=SIDE, iou="pooled")
        took["evaluate"] = timed(lambda: list(scored), CPU)
    return took


def plot(sizes: list[int], seconds: dict[str, list[float]]) -> None:
    mpl.rcParams["svg.hashsalt"] = "dbdflow"
    figure = Figure(figsize=(5.4, 3.6), layout="constrained")
    axes = figure.subplots()
    for kind, values in seconds.items():
        axes.plot(sizes, values, marker="o", label=kind)
    axes.set(xlabel="images", ylabel="seconds", xlim=(0, None), ylim=(0, None), title="Cost grows with the images")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(HERE / "scaling.svg", metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[250, 500, 1000, 2000])
    parser.add_argument("--rounds", type=int, default=2)
    chosen = parser.parse_args()
    stand_in.HEIGHT, stand_in.WIDTH = 480, 640
    torch.manual_seed(0)
    options = {"channels": [16, 32, 64, 128]}
    encode = encode_depth(build_model("midas", "resnet10t", backbone_kwargs=options, width=32).eval())
    best: dict[tuple[str, int], float] = {}
    with tempfile.TemporaryDirectory() as name:
        stand_in.build(Path(name) / "all", max(chosen.sizes))
        measure(Path(name) / "all", Path(name) / "warm", chosen.sizes[0], encode)
        for turn in range(chosen.rounds):
            for count in chosen.sizes:
                took = measure(Path(name) / "all", Path(name) / f"{turn}-{count}", count, encode)
                print(count, {kind: f"{each:.2f} s" for kind, each in took.items()}, flush=True)
                best |= {(kind, count): min(each, best.get((kind, count), each)) for kind, each in took.items()}
    seconds = {kind: [best[kind, count] for count in chosen.sizes] for kind in KINDS}
    plot(chosen.sizes, seconds)
    lines = [
        "# What each image costs, by how many there are",
        "",
        f"{time.strftime('%Y-%m-%d')}, `python benchmarks/scaling.py --sizes {' '.join(map(str, chosen.sizes))} "
        f"--rounds {chosen.rounds}`, {machine(CPU)}. Stand-in photographs of 640x480, network size {SIDE}, the "
        "miniature's depth teacher; the best of the rounds.",
        "",
        "![seconds over images](scaling.svg)",
        "",
        "| milliseconds an image | " + " | ".join(f"{count} images" for count in chosen.sizes) + " | last / first |",
        "|---|" + "---|" * (len(chosen.sizes) + 1),
    ]
    for kind, values in seconds.items():
        each = [1e3 * value / count for value, count in zip(values, chosen.sizes, strict=True)]
        cells = " | ".join(f"{value:.2f}" for value in each)
        lines.append(f"| {kind} | {cells} | {each[-1] / each[0]:.2f} |")
    (HERE / "SCALING.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
