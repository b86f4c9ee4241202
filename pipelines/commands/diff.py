"""`dbdflow diff REV [REV]`: two revisions or DVC experiments side by side, in the terminal, as Markdown, as a page."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from components.common.storage import write_whole

if TYPE_CHECKING:
    from pipelines.changes.compare import Comparison
    from pipelines.changes.pictures import Pictures


@click.command("diff")
@click.argument("before", metavar="REV")
@click.argument("after", metavar="[REV]", required=False)
@click.option(
    "--markdown", type=click.Path(path_type=Path), metavar="FILE", help="Write it as Markdown, with pictures."
)
@click.option("--html", type=click.Path(path_type=Path), metavar="FILE", help="Write it as a self-contained page.")
@click.option("--pictures", "most", type=click.IntRange(0), default=8, show_default=True, help="Maps to show.")
@click.option("--overwrite", is_flag=True, help="Write over files that are there.")
def command(
    *, before: str, after: str | None, markdown: Path | None, html: Path | None, most: int, overwrite: bool
) -> None:
    """What differs between two revisions or DVC experiments: params, stages, metrics, curves, pictures.

    The second is the workspace where it is not named.
    Results are read from DVC's cache (or its remote) by each revision's dvc.lock: nothing is checked out or run.
    """
    from pipelines.repo.revisions import repository
    from pipelines.system.places import check_places

    check_places([path for path in (markdown, html) if path], overwrite=overwrite)
    root = repository()
    from pipelines.changes.compare import compare  # with Matplotlib, which makes a folder in the checkout
    from pipelines.changes.page import render
    from pipelines.changes.pictures import changed_most
    from pipelines.changes.snapshot import take
    from pipelines.changes.text import lines

    found = compare(take(root, before), take(root, after), root)
    pictures = changed_most(root, found.before, found.after, most)
    click.echo("\n".join(lines(found, pictures)))
    if markdown is not None:
        write_markdown(found, pictures, markdown, overwrite=overwrite)
        click.echo(f"\n{markdown}: written")
    if html is not None:
        write_whole(html, render(found, pictures))
        click.echo(f"\n{html}: written")


def write_markdown(comparison: "Comparison", pictures: "Pictures", path: Path, *, overwrite: bool) -> None:
    """The comparison as a Markdown file, its pictures in a folder beside it."""
    from pipelines.changes.text import markdown

    folder = path.parent / f"{path.stem}-pictures"
    written = write_pictures(pictures, folder, overwrite=overwrite)
    head = f"# {comparison.before.short} → {comparison.after.short}\n"
    body = markdown(comparison, pictures, lambda name: f"![]({folder.name}/{name})" if name in written else "")
    write_whole(path, "\n".join([head, *body]) + "\n")


def write_pictures(pictures: "Pictures", folder: Path, *, overwrite: bool) -> list[str]:
    """Every strip as a PNG file in a folder; the names of the files.

    Raises:
        InputError: one cannot be written, or (unless `overwrite`) something is in its place.
    """
    from pipelines.changes.page import png
    from pipelines.system.places import check_places

    check_places([folder / each.file for each in pictures.most], overwrite=overwrite)
    for each in pictures.most:
        write_whole(folder / each.file, png(each))
    return [each.file for each in pictures.most]
