"""A folder of pairs to a folder of proposals, in EBD's own layout; pairs that are done are not done again."""

import csv
import hashlib
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from components.catalog.images import find_images, read_grey, read_photograph
from components.common.errors import InputError
from components.common.storage import NoRoomError, atomic_path, file_hash, read_json, write_json
from components.labelling.align import AlignmentError
from components.labelling.checks import MISALIGNED
from components.labelling.export import DONE, IMAGES, PROPOSALS, proposed_masks, write_labelme
from components.labelling.propose import IN_FOCUS, UNDECIDED, Proposal, propose
from components.labelling.review import Pixels, Reviewed, pictures_of, write_page, write_sheet

LAYOUTS = (("wide", "shallow"), ("original", "bokeh"))
"""Folders of the wide (f/16) and the shallow (f/1.8) photographs; the second pair is EBB!'s own."""
FIGURES = ("decided", "in_focus", "blur_px", "matches", "correlation", "shift_px", "turn_deg")
CONFIDENCE, ALIGNED = "confidence", "wide_aligned"


@dataclass(frozen=True)
class ScenePair:
    """Two photographs of one scene."""

    stem: str
    wide: Path
    shallow: Path


@dataclass(frozen=True)
class Outcome:
    """What became of a pair: its figures, or why it failed."""

    stem: str
    figures: dict[str, float]
    failed: str


def find_scenes(folder: Path) -> list[ScenePair]:
    """The pairs of a folder, in natural order of their stems; suffixes and the case of letters may differ.

    Raises:
        InputError: no such folders, nothing in them, or a photograph without its partner.
    """
    for layout in LAYOUTS:
        wide, shallow = (folder / name for name in layout)
        if wide.is_dir() and shallow.is_dir():
            return paired(wide, shallow)
    layouts = " or ".join(f"{wide}/ and {shallow}/" for wide, shallow in LAYOUTS)
    raise InputError(f"{folder}: expected the folders {layouts} in it, with one name for both photographs of a scene")


def paired(wide: Path, shallow: Path) -> list[ScenePair]:
    """The pairs of two folders.

    Raises:
        InputError: a photograph has no partner, or there are none.
    """
    sharp, blurred = find_images(wide), find_images(shallow)
    if alone := sorted(sharp.keys() ^ blurred.keys()):
        where = wide if alone[0] in blurred else shallow
        raise InputError(
            f"{where}: no photograph named {alone[0]!r} ({len(alone)} without a partner in {wide} and {shallow}); "
            "add what is missing, or take its partner away"
        )
    if not sharp:
        raise InputError(f"{wide}: no photographs in it; expected one for each in {shallow}")
    return [ScenePair(blurred[stem].stem, sharp[stem], blurred[stem]) for stem in blurred]


def made_from(pair: ScenePair, coc_limit: float) -> str:
    """Hash of all that a pair's proposal depends on, this package's code apart."""
    parts = (file_hash(pair.wide), file_hash(pair.shallow), repr(coc_limit))
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()


def figures_of(proposal: Proposal) -> dict[str, float]:
    """What is said of a proposal."""
    known = proposal.label[proposal.label != UNDECIDED]
    in_focus = float((known == IN_FOCUS).mean()) if known.size else 0.0
    of = proposal.alignment
    values = (proposal.decided, in_focus, proposal.blur_px, of.matches, of.correlation, of.shift_px, of.turn_deg)
    return {name: round(float(value), 4) for name, value in zip(FIGURES, values, strict=True)}


def save(path: Path, pixels: Pixels) -> None:
    """Write a picture, whole or not at all."""
    with atomic_path(path) as temporary:
        Image.fromarray(pixels).save(temporary)


def label_pair(pair: ScenePair, out: Path, coc_limit: float, keep_misaligned: bool) -> Outcome:
    """Propose the label of one pair and write it, unless that was done before.

    Raises:
        InputError: a photograph cannot be read, or the corrected mask of another proposal would be lost.
    """
    record = out / DONE / f"{pair.stem}.json"
    source = made_from(pair, coc_limit)
    if record.exists():
        before = read_json(record)
        wanted = keep_misaligned and before["failed"].startswith(MISALIGNED)
        if before["made_from"] == source and not wanted:
            return Outcome(pair.stem, before["figures"], before["failed"])
        withdraw(before["written"], out)
    check_unknown(pair, out)
    shallow, wide = (np.asarray(read_photograph(path)) for path in (pair.shallow, pair.wide))
    figures: dict[str, float] = {}
    written: dict[str, str] = {}
    masks: dict[str, str] = {}
    failed = ""
    try:
        proposal = propose(shallow, wide, coc_limit, keep_misaligned=keep_misaligned)
    except AlignmentError as error:
        failed = str(error)
    else:
        figures = figures_of(proposal)
        painted, shapes = write_proposal(pair, proposal, out)
        written = {str(path.relative_to(out)): file_hash(path) for path in (painted, shapes)}
        masks = proposed_masks(painted, shapes, proposal.label)
    found = {"made_from": source, "figures": figures, "failed": failed, "written": written, "masks": masks}
    write_json(record, found)
    return Outcome(pair.stem, figures, failed)


def check_unknown(pair: ScenePair, out: Path) -> None:
    """Refuse a pair whose proposal is there already: without its record, it may be corrected."""
    for path in places(pair, out):
        if path.exists():
            raise InputError(
                f"{path}: there, but not its record {out / DONE / pair.stem}.json, so it may be corrected; put the "
                "record back, or name another --out"
            )


def places(pair: ScenePair, out: Path) -> tuple[Path, Path]:
    """Where the proposal of a pair lies, painted and drawn."""
    return out / PROPOSALS / f"{pair.stem}.png", (out / IMAGES / pair.shallow.name).with_suffix(".json")


def withdraw(written: dict[str, str], out: Path) -> None:
    """Remove an older proposal: its files, with the hash that they were written with.

    Raises:
        InputError: one of them was changed since, and with it somebody's work would be lost.
    """
    for name, before in written.items():
        if (out / name).exists() and file_hash(out / name) != before:
            raise InputError(
                f"{out / name}: corrected by hand, and made from another photograph or --coc-limit; nothing was "
                "changed: name another --out"
            )
    for name in written:
        (out / name).unlink(missing_ok=True)


def write_proposal(pair: ScenePair, proposal: Proposal, out: Path) -> tuple[Path, Path]:
    """Write what a person corrects and what helps them to; the files that hold the proposal, painted and drawn."""
    photograph = out / IMAGES / pair.shallow.name
    painted, shapes = places(pair, out)
    with atomic_path(photograph) as temporary:
        shutil.copyfile(pair.shallow, temporary)
    save(painted, proposal.label)
    save(out / CONFIDENCE / f"{pair.stem}.png", np.rint(proposal.confidence * 255).astype(np.uint8))
    save(out / ALIGNED / f"{pair.stem}.jpg", proposal.aligned)
    write_labelme(shapes, photograph, proposal.label)
    return painted, shapes


def attempted(pair: ScenePair, out: Path, coc_limit: float, keep_misaligned: bool) -> Outcome:
    """What becomes of a pair, whatever is wrong with its files; another run tries again."""
    try:
        return label_pair(pair, out, coc_limit, keep_misaligned)
    except NoRoomError:
        raise
    except InputError as error:
        return Outcome(pair.stem, {}, str(error))


def check_out(out: Path) -> None:
    """Refuse a folder that holds what other makers left."""
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / DONE).is_dir())):
        raise InputError(f"{out}: not empty and not filled by `dbdflow label`; name a new or empty folder")


def label_all(
    pairs: Sequence[ScenePair], out: Path, coc_limit: float, *, keep_misaligned: bool = False
) -> Iterator[Outcome]:
    """Propose the labels of all pairs; each outcome as it comes, and the pages to review at the end.

    Raises:
        InputError: see `check_out`; or no room.
    """
    check_out(out)
    outcomes = []
    for pair in pairs:
        outcomes.append(attempted(pair, out, coc_limit, keep_misaligned))
        yield outcomes[-1]
    write_figures(out / "pairs.csv", outcomes)
    reviewed = [review_of(pair, outcome, out) for pair, outcome in zip(pairs, outcomes, strict=True)]
    write_page(out / "review.html", reviewed)
    write_sheet(out / "contact_sheet.jpg", reviewed)


def write_figures(path: Path, outcomes: Sequence[Outcome]) -> None:
    """Write `pairs.csv`: a line a pair, its figures and why it failed."""
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["stem", *FIGURES, "failed"])
        writer.writerows(
            [each.stem, *(each.figures.get(name, "") for name in FIGURES), each.failed] for each in outcomes
        )


def review_of(pair: ScenePair, outcome: Outcome, out: Path) -> Reviewed:
    """A pair as the page shows it."""
    if outcome.failed:
        return Reviewed(pair.stem, {}, outcome.failed)
    figures = {
        "decided": f"{outcome.figures['decided']:.0%}",
        "in focus (of the decided)": f"{outcome.figures['in_focus']:.0%}",
        "blurred by": f"{outcome.figures['blur_px']:.0f} px (median of what is out of focus)",
        "matches": f"{outcome.figures['matches']:.0f}",
        "correlation": f"{outcome.figures['correlation']:.3f}",
        "moved by": f"{outcome.figures['shift_px']:.1f} px, {outcome.figures['turn_deg']:.2f} degrees",
    }
    shallow, aligned = (
        np.asarray(read_photograph(path)) for path in (pair.shallow, out / ALIGNED / f"{pair.stem}.jpg")
    )
    proposal, confidence = (read_grey(out / folder / f"{pair.stem}.png") for folder in (PROPOSALS, CONFIDENCE))
    return Reviewed(pair.stem, figures, "", pictures_of(shallow, aligned, proposal, confidence))
