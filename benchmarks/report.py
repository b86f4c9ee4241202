"""The report at 3000 photographs: how large its page is, how long it takes to make, to paint and to turn over.

Writes benchmarks/REPORT.md. The experiment is made up on disk: 100 scenes of 320x320 with maps of each method, told
apart by small changes of their scores, under the ids of 3000 photographs. Needs Chromium for all but the sizes.

    python benchmarks/report.py [--images 3000] [--methods 12] [--keep FOLDER]
"""

import argparse
import csv
import io
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
import numpy as np
from PIL import Image

from benchmarks.origin import commit
from components.catalog.pictures import encode_map
from components.report.page import build_report
from components.report.sheets import OWN, QUALITY
from tests.report import browser, synthetic

OUT = Path(__file__).parent / "REPORT.md"
SIDE = 320
SCENES = 100
SHARES = {"cuhk": ("CUHK-TE-1", 0.04), "dut": ("DUT-TE", 0.2), "ctcug": ("CTCUG", 0.06), "ebd": ("EBD", 0.7)}
RUNS = (
    *("hifst", "dffnet", "pdnet", "rdffnet", "d_dffnet", "d_pdnet", "dffnet_bce", "d_dffnet_bce_bce"),
    *("d_dffnet_bce_el", "dffnet_vgg16", "d_dffnet_vgg16", "dffnet_without_dffm", "d_dffnet_without_dffm"),
    *("lbp", "dbdf", "dffnet_dut", "d_dffnet_dut", "dffnet_cuhk2_dut", "d_dffnet_cuhk2_dut"),
)


def experiment(root: Path, images: int, runs: list[str]) -> None:
    """Everything that `build_report` reads."""
    synthetic.write_experiment(root, runs=runs, sets={"made": {"MADE": SCENES}}, size=SIDE)
    for name, (test_set, share) in SHARES.items():
        spread(root, name, test_set, round(images * share), runs)
    for folder in ("prepared/made", *(f"predictions/{run}" for run in runs)):
        for path in (root / folder).glob("made.zip" if "predictions" in folder else "*"):
            path.unlink()
    (root / "prepared/made").rmdir()


def spread(root: Path, name: str, test_set: str, images: int, runs: list[str]) -> None:
    """A prepared set of so many photographs out of the scenes, with maps and scores of every run."""
    places = np.arange(images) % SCENES
    made = root / "prepared/made"
    dof = ["wide" if name == "ebd" and i % 5 == 4 else "shallow" for i in range(images)]
    splits = [[test_set, *(["EBD(1305)"] if name == "ebd" and each == "shallow" else [])] for each in dof]
    arrays = {each: np.load(made / f"{each}.npy")[places] for each in ("images", "labels")}
    synthetic.write_prepared(
        root / "prepared" / name, name=name, splits=splits, dof=dof, found={"rendered": True}, **arrays
    )
    ids = [f"{name}{i:03d}" for i in range(images)]
    random = np.random.default_rng(images)
    for run in runs:
        copy_maps(root / "predictions" / run, name, ids, places)
        with (root / "scores" / run / "per_image.csv").open(newline="") as file:
            lines = [line for line in csv.DictReader(file) if line["test_set"] == "MADE"]
        with (root / "scores" / run / "per_image.csv").open("a", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            for i, image in enumerate(ids):
                values = list(lines[places[i]].values())[2:]
                moved = [f"{min(1.0, float(each) * random.uniform(0.9, 1.1)):.8f}" if each else "" for each in values]
                writer.writerows([split, image, *moved] for split in splits[i])


def copy_maps(folder: Path, name: str, ids: list[str], places: np.ndarray) -> None:
    """The archive of a set's maps out of that of the scenes."""
    with zipfile.ZipFile(folder / "made.zip") as made, zipfile.ZipFile(folder / f"{name}.zip", "w") as archive:
        for image, place in zip(ids, places, strict=True):
            archive.writestr(f"{image}.png", made.read(f"made{place:03d}.png"))


def painted(page: Path) -> dict[str, float]:
    """Milliseconds: to the first paint in a fresh browser, to the gallery's cards, and to another order of them."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        driven = browser.Browser(Path(folder))
        try:
            driven.open(page)
            driven.until("performance.getEntriesByName('first-contentful-paint').length")
            paint = driven.js("performance.getEntriesByName('first-contentful-paint')[0].startTime")
            jump = """new Promise((done) => { const begun = performance.now();
              document.documentElement.style.scrollBehavior = "auto";
              document.getElementById("gallery").scrollIntoView();
              const look = () => { const seen = [...document.querySelectorAll(".card img")].slice(0, 16);
                if (seen.length && seen.every((each) => each.complete)) done(performance.now() - begun);
                else requestAnimationFrame(look); };
              look(); })"""
            cards = driven.js(jump)
            order = """new Promise((done) => { const begun = performance.now();
              const metric = document.querySelector("[name=metric]"); metric.value = "mae_edge";
              metric.dispatchEvent(new Event("input", { bubbles: true }));
              requestAnimationFrame(() => setTimeout(() => done(performance.now() - begun))); })"""
            return {"paint": paint, "cards": cards, "order": driven.js(order)}
        finally:
            driven.close()


def hashed(folder: Path) -> float:
    """Seconds that `dvc add` takes for a folder, in a repository of its own, cache and all."""
    program = Path(sys.executable).with_name("dvc")
    subprocess.run([program, "init", "--no-scm", "--quiet"], cwd=folder.parent, check=True)
    begun = time.perf_counter()
    subprocess.run([program, "add", "--quiet", folder.name], cwd=folder.parent, check=True)
    return time.perf_counter() - begun


def singles(root: Path, gallery: Path) -> Path:
    """The same pictures, each in a file of its own."""
    folder = root / "singles/pictures"
    for path in sorted(gallery.rglob("*.jpg")):
        target = folder / path.parent.name / path.stem
        target.mkdir(parents=True)
        with Image.open(path) as sheet:
            for i in range(sheet.height // SIDE):
                sheet.crop((0, i * SIDE, SIDE, (i + 1) * SIDE)).save(target / f"{i}.jpg", quality=QUALITY)
    return folder


def size_of(folder: Path) -> tuple[int, int]:
    """Files in a folder, and their bytes."""
    files = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    return len(files), sum(files)


def real_sheet(methods: int) -> str:
    """What a sheet of real photographs weighs, where they are at hand: the maps stand in for every method's."""
    shared = Path(os.environ.get("DBDFLOW_SHARED", OUT.parents[2] / "shared")) / "real"
    names = sorted(path.stem for path in (shared / "cuhk/image").glob("*"))
    if not names:
        return "No real photographs were at hand."
    found: dict[str, list[int]] = {"JPEG": [], "WebP": [], "lossless maps, PNG": []}
    for name in names:
        photograph = next((shared / "cuhk/image").glob(f"{name}.*"))
        paths = [photograph, next((shared / "cuhk/gt").glob(f"{name}.*"))]
        paths += [next((shared / "hifst_cuhk_photos").glob(f"{name}.*"))] * methods
        tiles = [np.array(Image.open(path).convert("RGB").resize((SIDE, SIDE))) for path in paths]
        sheet = Image.fromarray(np.concatenate(tiles))
        for kind in ("JPEG", "WebP"):
            buffer = io.BytesIO()
            sheet.save(buffer, kind, quality=QUALITY)
            found[kind].append(len(buffer.getvalue()))
        found["lossless maps, PNG"].append(len(encode_map(tiles[-1][..., 0])) * (methods + 1))
    kilobytes = {kind: statistics.mean(sizes) / 1000 for kind, sizes in found.items()}
    return (
        f"A sheet of {len(names)} real photographs, each with its label and {methods} times HiFST's published map "
        f"(rougher than a network's): {kilobytes['JPEG']:.0f} kB as JPEG, {kilobytes['WebP']:.0f} kB as WebP at the "
        f"same setting; label and maps alone {kilobytes['lossless maps, PNG']:.0f} kB as PNG."
    )


def measure(root: Path, images: int, runs: list[str]) -> list[str]:
    """The lines of the table."""
    experiment(root, images, runs)
    begun, worked = time.perf_counter(), time.process_time()
    build_report(**synthetic.arguments(root, runs=runs))
    seconds, worked = time.perf_counter() - begun, time.process_time() - worked
    page = root / "report/index.html"
    files, size = size_of(root / "report/gallery")
    lines = [
        f"| making the report, {len(os.sched_getaffinity(0))} cores | {seconds:.0f} s, {worked:.0f} s of CPU time |",
        f"| the page itself | **{page.stat().st_size / 1e6:.2f} MB** |",
        f"| pictures beside it | {files} files, {size / 1e6:.0f} MB, {size / files / 1000:.0f} kB each |",
    ]
    print(*lines, sep="\n", flush=True)
    if browser.find():
        turns = [painted(page) for _ in range(5)]
        names = {
            "paint": "first paint (fresh browser, `file://`)",
            "cards": "jump to the gallery until the pictures in view are decoded",
            "order": "another order of all photographs",
        }
        for key, name in names.items():
            values = sorted(turn[key] for turn in turns)
            lines.append(f"| {name} | {values[2]:.0f} ms ({values[0]:.0f} to {values[-1]:.0f}) |")
    (root / "sheets").mkdir()
    (root / "report/gallery").rename(root / "sheets/gallery")
    apart = singles(root, root / "sheets/gallery")
    number, total = size_of(apart)
    for folder, told in ((root / "sheets/gallery", f"{files} sheets"), (apart, f"the same as {number} pictures")):
        lines.append(f"| `dvc add` of {told}, {size_of(folder)[1] / 1e6:.0f} MB | {hashed(folder):.0f} s |")
    print(*lines[3:], sep="\n", flush=True)
    shown = 24 * 4
    lines += [
        f"| read for 24 cards of 2 methods: sheets | 24 files, {24 * size / files / 1e6:.1f} MB |",
        f"| the same, a file a picture | {shown} files, {shown * total / number / 1e6:.1f} MB |",
        f"| the same, a file for 24 photographs and a method, in any order | up to {shown} files, "
        f"{shown * 24 * total / number / 1e6:.0f} MB |",
    ]
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--images", type=int, default=3000)
    parser.add_argument("--methods", type=int, default=12, help=f"at most {len(RUNS)}")
    parser.add_argument("--keep", type=Path, help="leave the experiment and its report in this folder")
    chosen = parser.parse_args()
    runs = list(RUNS[: chosen.methods])
    with tempfile.TemporaryDirectory() as name:
        lines = measure(chosen.keep or Path(name), chosen.images, runs)
    text = [
        "# The report at 3000 photographs",
        "",
        f"{time.strftime('%Y-%m-%d')}, commit {commit()}, `python benchmarks/report.py --images {chosen.images} "
        f"--methods {chosen.methods}`, {platform.machine()}, {len(os.sched_getaffinity(0))} cores, Python "
        f"{platform.python_version()}. {chosen.images} made-up photographs of {SIDE}x{SIDE}, {chosen.methods} methods "
        f"(a sheet has {chosen.methods + OWN} tiles). Times in Chromium: median of five fresh browsers, "
        f"and extremes. Load average at the end, of others' work too: {os.getloadavg()[0]:.0f}.",
        "",
        "| what | |",
        "|---|---|",
        *lines,
        "",
        "A sheet holds one photograph with its label and all maps. A file a picture would need fewer bytes a screen, "
        "and takes DVC longer (it hashes, links and sends file by file, the more methods the more); sheets of many "
        "photographs are few, but the gallery sorts by any metric, so that a screen of cards would read nearly all.",
        "",
        real_sheet(chosen.methods),
    ]
    OUT.write_text("\n".join(text) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
