"""From a bare machine to prepared sets, at the published counts, against a local server: time and disk of every step.

`python benchmarks/ready.py` builds archives of random photographs in the real layouts, serves them at the real
addresses on the loopback, and runs a clone of this checkout on presets/paper.yaml up to the prepared sets. It writes
benchmarks/READY.md. The photographs are random: nothing is trained on them.
"""

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.archives import Counts, build, zipped  # noqa: E402
from components.acquire.sources import MAPS, SET_ARCHIVES, TE2_MAPS  # noqa: E402
from tests.data.webserver import Server, serving  # noqa: E402

OUT = ROOT / "benchmarks" / "READY.md"


def publish(root: Path, server: Server) -> dict[str, int]:
    """Serve every archive at its real address; bytes of each."""
    images, labels = (archive.addresses[0] for archive in SET_ARCHIVES["cuhk"])
    archives = {
        images: zipped(root / "image.zip", root / "cuhk/image", root / "cuhk"),
        labels: zipped(root / "gt.zip", root / "cuhk/gt", root / "cuhk"),
        SET_ARCHIVES["dut"][0].addresses[0]: zipped(root / "dut.zip", root / "dut", root / "dut"),
        SET_ARCHIVES["ebd"][0].addresses[0]: zipped(root / "ebd.zip", root / "ebd", root / "ebd"),
        MAPS[TE2_MAPS].addresses[0]: zipped(root / "maps.zip", root / "maps", root / "maps"),
    }
    for address, archive in archives.items():
        server.serve(address, archive)
    return {archive.name: archive.stat().st_size for archive in archives.values()}


def steps(root: Path) -> Iterator[tuple[str, list[str]]]:
    """What a person does, in order."""
    dvc, dbdflow = [sys.executable, "-m", "dvc"], [str(Path(sys.executable).with_name("dbdflow"))]
    bundle = zipped(root / "bundle.zip", root / "bundle", root / "bundle")
    yield "`dbdflow import dut bundle.zip` (training part)", [*dbdflow, "import", "dut", str(bundle)]
    yield "`dbdflow import ctcug FOLDER`", [*dbdflow, "import", "ctcug", str(root / "ctcug")]
    for name in SET_ARCHIVES:
        for stage in ("download", "prepare"):
            yield f"`dvc repro {stage}@{name}`", [*dvc, "repro", f"{stage}@{name}"]
    yield "`dbdflow status`", [*dbdflow, "status"]


def main() -> None:
    """Build, serve, run, report."""
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as server:
        root, clone = Path(folder), Path(folder) / "clone"
        build(root, Counts())
        sizes = publish(root, server)
        subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
        shutil.copy(clone / "presets/paper.yaml", clone / "params.yaml")
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = os.environ | server.environment | {"PYTHONPATH": str(clone), "PATH": path}
        rows, last = [], ""
        for name, command in steps(root):
            began = time.monotonic()
            done = subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"{name}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
            rows.append((name, time.monotonic() - began))
            last = done.stdout
            print(*rows[-1])
        reports = {
            name: json.loads((clone / f"data/prepared/{name}/validation.json").read_text()) for name in SET_ARCHIVES
        }
    OUT.write_text(text(rows, sizes, reports, last))


def text(rows: list[tuple[str, float]], sizes: dict[str, int], reports: dict[str, dict], status: str) -> str:
    """READY.md."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    held = ", ".join(f"{name} {size / 1e6:.0f} MB" for name, size in sizes.items())
    splits = [
        f"| {name} | {split} | {count} |" for name, each in reports.items() for split, count in each["splits"].items()
    ]
    state = [line for line in status.splitlines() if line.startswith(("present", "partial", "missing", "broken"))]
    return "\n".join(
        [
            "# From nothing to prepared sets, at the published counts",
            "",
            f"{datetime.now(UTC):%Y-%m-%d}, commit {commit.stdout.strip()}, {platform.machine()} with {os.cpu_count()} "
            "CPU cores, `make ready`. Random photographs in the real layouts, served at the real addresses by a local "
            f"server: the network's own time is not in it. Mean load while it ran: {os.getloadavg()[2]:.1f}.",
            "",
            f"Archives: {held}.",
            "",
            "| step | seconds |",
            "|---|---|",
            *(f"| {name} | {seconds:.0f} |" for name, seconds in rows),
            "",
            "| set | split | photographs |",
            "|---|---|---|",
            *splits,
            "",
            "What `dbdflow status` says then:",
            "",
            "```",
            *state,
            "```",
            "",
        ]
    )


if __name__ == "__main__":
    main()
