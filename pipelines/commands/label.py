"""The command `dbdflow label`: defocus labels proposed from a wide and a shallow photograph of each scene."""

import sys
from pathlib import Path

import click

from pipelines.system.progress import Progress


@click.command("label")
@click.argument("pairs", type=click.Path(path_type=Path), metavar="PAIRS_FOLDER")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for the proposals.")
@click.option(
    "--coc-limit",
    type=click.FloatRange(0.5, 50),
    default=None,
    help="Circle of confusion, pixels of a photograph 1600 px wide, above which a pixel is out of focus.",
)
@click.option(
    "--keep-misaligned", is_flag=True, help="Propose also where the photographs differ by what no blur explains."
)
def command(*, pairs: Path, out: Path, coc_limit: float | None, keep_misaligned: bool) -> None:
    """Propose defocus labels for pairs of photographs of one scene, wide (f/16) and shallow (f/1.8).

    PAIRS_FOLDER holds `wide/` and `shallow/` (or EBB!'s `original/` and `bokeh/`) with one name for both. What is
    proposed for the shallow one: white = in focus, black = out of focus, grey = undecided. Look at review.html,
    correct in LabelMe or any painting program, and bring it back with `dbdflow import labels OUT`.
    """
    from components.labelling.propose import COC_LIMIT_PX
    from components.labelling.workflow import find_scenes, label_all

    scenes = find_scenes(pairs)
    progress = Progress("label")
    outcomes = label_all(scenes, out, coc_limit or COC_LIMIT_PX, keep_misaligned=keep_misaligned)
    failed = 0
    for done, outcome in enumerate(outcomes, start=1):
        failed += bool(outcome.failed)
        progress.show(done, len(scenes), "pairs")
        if outcome.failed:
            click.echo(f"{outcome.stem}: failed, {outcome.failed}", err=True)
    click.echo(f"{len(scenes) - failed} proposals in {out}, {failed} pairs failed; see {out / 'review.html'}")
    if failed:
        sys.exit(1)
