"""What DVC compares: every score is a metric and every curve a plot, by the declarations of dvc.yaml."""

import json
from pathlib import Path

from ruamel.yaml import YAML

from components.common.storage import write_json
from components.report.summaries import find_summaries, write_summaries

ROOT = Path(__file__).parent.parent


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def made(tmp_path: Path) -> Path:
    """Two scored runs, of which one was trained here, and a published method's maps; one run has no scores."""
    scores, models, out = (tmp_path / name for name in ("scores", "models", "summary"))
    for run in ("hifst", "dffnet", "external/lbp"):
        write_json(scores / run / "summary.json", {"EBD": {"mae": 0.25, "images": 3}, "EBD(1305)": {"mae": 0.5}})
        curves = "test_set,threshold,precision,recall\nEBD,0,0.5,1.0\nEBD,1,0.75,0.5\nEBD(1305),0,0.25,1.0\n"
        write(scores / run / "curves.csv", curves)
    write(models / "dffnet" / "history.csv", "epoch,loss,dbd_loss\n1,0.5,0.5\n2,0.25,0.25\n")
    write(models / "hifst" / "history.csv", "epoch\n")
    found = find_summaries(scores, ["hifst", "dffnet", "not_available"])
    write_summaries(out, found, scores, models)
    return out


def test_scores_and_curves_are_gathered(tmp_path: Path) -> None:
    out = made(tmp_path)
    summary = {"EBD": {"mae": 0.25}, "EBD(1305)": {"mae": 0.5}}
    for run in ("hifst", "dffnet", "external/lbp"):
        assert json.loads((out / f"metrics/{run}.json").read_text()) == summary
    assert len(list((out / "metrics").rglob("*.json"))) == 3
    curve = (out / "curves/external/lbp/EBD.csv").read_text()
    assert curve == "threshold,precision,recall\n0,0.5,1.0\n1,0.75,0.5\n"
    assert len(list((out / "curves").rglob("*.csv"))) == 6
    assert [path.name for path in (out / "history").iterdir()] == ["dffnet.csv"]
    assert (out / "history/dffnet.csv").read_text() == "epoch,loss,dbd_loss\n1,0.5,0.5\n2,0.25,0.25\n"


def test_dvc_yaml_declares_all_of_it(tmp_path: Path) -> None:
    """Every file is a metric or a plot by axes that it has; what is declared lies in an output."""
    out = made(tmp_path)
    declared = YAML(typ="safe", pure=True).load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))
    outs = declared["stages"]["report"]["outs"]
    plots = {path: axes for plot in declared["plots"] for path, axes in plot.items()}
    assert all(any(Path(path).is_relative_to(made) for made in outs) for path in (*declared["metrics"], *plots))
    for file in (path for path in out.rglob("*") if path.is_file()):
        name = Path("data/summary") / file.relative_to(out)
        axes = [axes for path, axes in plots.items() if name.is_relative_to(path)]
        if any(name.is_relative_to(path) for path in declared["metrics"]):
            assert (axes, file.suffix) == ([], ".json"), name
        else:
            assert set(axes[0].values()) <= set(file.read_text().splitlines()[0].split(",")), name
