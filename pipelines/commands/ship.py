"""`make ship RUN=NAME`: a trained run becomes the weights that ship, and its facts stand on their card.

dbdflow/weights/small.safetensors is the run's model in float16: half the bytes, and loaded into float32 again.
"""

import sys
from pathlib import Path
from typing import Any

import torch

from components.common.errors import InputError
from components.common.storage import atomic_path, file_hash, read_json, write_whole
from components.maps.inference import by_best
from components.models.checkpoints import load_model, save_model
from components.models.network import Network
from components.models.run_files import CARD, WEIGHTS
from dbdflow.detector import DEFAULT
from dbdflow.detector import WEIGHTS as SHIPPED
from pipelines.running.detectors import MODELS
from pipelines.stages.report import commit

SCORES = Path("data/scores")
MOST = 8_000_000
"""Bytes of the file: it lies in git."""
BEGIN, END = "<!-- what `make ship` wrote -->\n", "<!-- end -->\n"


def ship(run: Path, scores: Path, weights: Path, at: str) -> Path:
    """Write the weights of a trained run to `weights`, and their facts into its README.md.

    Args:
        run: folder with model.safetensors and card.json.
        scores: folder with summary.json of the run, which need not be there.
        weights: folder that ships.
        at: the commit of this checkout.

    Returns:
        The file of weights.

    Raises:
        InputError: no run there, a weight that float16 cannot hold, or a file of more than `MOST` bytes.
    """
    model, card, out = halved(run / WEIGHTS), read_json(run / CARD), weights / f"{DEFAULT}.safetensors"
    known = {"run": card["run"], "train": card["train"], "commit": at, "best": "yes" if by_best(card) else "no"}
    with atomic_path(out) as temporary:
        save_model(temporary, model, {**known, "image_size": str(card["params"]["image_size"])})
        if (size := temporary.stat().st_size) > MOST:
            raise InputError(f"{run}: {size} bytes in float16, expected at most {MOST}; ship a smaller network")
    summary = scores / "summary.json"
    write_facts(weights / "README.md", facts(out, card, at, read_json(summary) if summary.is_file() else {}))
    return out


def halved(path: Path) -> Network:
    """The model of a file of weights, in float16.

    Raises:
        InputError: a value lies beyond what float16 holds, 65504.
    """
    model = load_model(path).half()
    for key, value in model.state_dict().items():
        if not torch.isfinite(value).all():
            raise InputError(f"{path}: {key} has values that float16 cannot hold; train it anew, or ship another run")
    return model


def facts(path: Path, card: dict[str, Any], at: str, scores: dict[str, dict[str, float]]) -> str:
    """The tables of the model card."""
    lines = [
        "| | |",
        "|---|---|",
        f"| file | `{path.name}`, {path.stat().st_size / 1e6:.2f} MB, float16 |",
        f"| sha256 | `{file_hash(path)}` |",
        f"| network | {card['model']} on {card['backbone']}, input {card['params']['image_size']} x "
        f"{card['params']['image_size']} |",
        f"| run | `{card['run']}`, trained on {card['train']} |",
        f"| commit | `{at}` |",
    ]
    if scores:
        lines += ["", "| test set | photographs | MAE | F-beta at 0.5 | F-beta, published rule | IoU |"]
        lines.append("|---|---|---|---|---|---|")
    for name, each in scores.items():
        measured = " | ".join(f"{each[key]:.4f}" for key in ("mae", "f_beta", "f_beta_published", "iou"))
        lines.append(f"| {name} | {each['images']} | {measured} |")
    return "\n".join(lines) + "\n"


def write_facts(path: Path, text: str) -> None:
    """Put `text` between the two marks of a model card.

    Raises:
        InputError: they are not there.
    """
    before, begin, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise InputError(f"{path}: expected the lines {BEGIN.strip()!r} and {END.strip()!r}; put them back")
    write_whole(path, before + begin + text + end + after)


def main() -> None:
    """Ship the run that the first argument names."""
    if len(sys.argv) != 2:
        sys.exit("usage: make ship RUN=NAME, a run of data/models")
    try:
        print(ship(MODELS / sys.argv[1], SCORES / sys.argv[1], SHIPPED, commit()))
    except InputError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
