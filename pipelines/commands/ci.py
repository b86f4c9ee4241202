"""`dbdflow ci plan | run | comment`: what CI does, here as there. `.github/workflows/` calls these and no more."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from components.common.errors import InputError
from components.common.storage import write_whole

MARKER = "<!-- dbdflow ci: {} -->"
"""First line of the comment on a preset's result, by which CI finds it again (.github/workflows/comment.yml)."""
LONGEST = 65_000  # characters; GitHub takes 65 536
PICTURES = 6

base_option = click.option("--base", default="HEAD~1", show_default=True, metavar="REV", help="Revision compared with.")
preset_option = click.option(
    "--preset", metavar="NAME", help="Params of presets/NAME.yaml, unless params.yaml has `name: NAME`."
)


@click.group("ci")
def command() -> None:
    """What CI does: say what a change reruns, run it, and say what moved."""


@command.command("plan")
@base_option
@click.option("--head", default="HEAD", show_default=True, metavar="REV", help="Revision with the change.")
@preset_option
@click.option("--markdown", "as_markdown", is_flag=True, help="Print Markdown.")
def plan(*, base: str, head: str, preset: str | None, as_markdown: bool) -> None:
    """Which stages rerun between two revisions, why, and what they cost last time. Needs git alone, no data."""
    from pipelines.changes import plan as plans
    from pipelines.repo.revisions import repository

    found = plans.make_plan(repository(), base, head, preset)
    click.echo("\n".join((plans.markdown if as_markdown else plans.in_words)(found)))


@command.command("run")
@click.option("--base", metavar="REV", help="Make this revision's result as well, to compare with.")
@click.option("--head", default="HEAD", show_default=True, metavar="REV", help="Revision to run.")
@preset_option
@click.option("--jobs", type=click.IntRange(1), help="Stages at once; by default as many as cores.")
@click.option("--push", is_flag=True, help="Push what came out to the default DVC remote.")
def run(*, base: str | None, head: str, preset: str | None, jobs: int | None, push: bool) -> None:
    """Make a revision's result: pull what exists, run what is missing. The workspace stays as it is."""
    from pipelines.changes.run import Asked
    from pipelines.changes.run import run as make
    from pipelines.repo.revisions import repository
    from pipelines.system.stopping import Stop, by_signals

    stop, asked, root = Stop(), Asked(preset, jobs, push), repository()
    with by_signals(stop):
        if base and make(root, base, asked, stop=stop):
            click.echo(f"{base}: no result to compare with", err=True)
        code = stop.code if stop.is_set() else make(root, head, asked, stop=stop)
    sys.exit(code)


@command.command("comment")
@base_option
@click.option(
    "--head", metavar="REV", help="Revision with the change; by default HEAD as `ci run` ran it, else the workspace."
)
@preset_option
@click.option("--link", metavar="URL", help="Where the folder of --out will be found.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="File; pictures and pages go beside it.")
@click.option("--overwrite", is_flag=True, help="Write over files that are there.")
def comment(*, base: str, head: str | None, preset: str | None, link: str | None, out: Path, overwrite: bool) -> None:
    """Write the comment of a pull request: params, stages, metrics before and after, pictures that changed most."""
    from pipelines.repo.revisions import repository
    from pipelines.system.places import check_places

    check_places([out, *(out.parent / name for name in ("diff.html", "report.html"))], overwrite=overwrite)
    root = repository()
    from pipelines.changes import plan as plans  # with Matplotlib, which makes a folder in the checkout
    from pipelines.changes.compare import compare
    from pipelines.changes.page import render
    from pipelines.changes.pictures import changed_most
    from pipelines.changes.text import markdown
    from pipelines.commands.diff import write_pictures

    before, after = result(root, base, preset, None), result(root, head or "HEAD", preset, head)
    found, pictures = compare(before, after, root), changed_most(root, before, after, PICTURES)
    written = write_pictures(pictures, out.parent / "pictures", overwrite=overwrite)
    write_whole(out.parent / "diff.html", render(found, pictures))
    report = copy_report(after, out.parent / "report.html")
    files = ["diff.html"] + ["report.html"] * report + ["pictures/"] * bool(written)
    where = f"[the artifacts of this run]({link})" if link else "the folder of this comment"
    lines = [
        MARKER.format(preset or "params"),
        f"## dbdflow: {found.before.short} → {found.after.short}\n",
        "### Plan\n",
        *plans.markdown(plans.make_plan(root, base, head or "HEAD", preset)),
        "",
        *markdown(found, pictures, lambda name: f"`pictures/{name}`" if name in written else ""),
        "",
        f"In {where}: {', '.join(f'`{name}`' for name in files)}.",
    ]
    write_whole(out, fitted(lines))
    click.echo(f"{out}: written; {out.parent / 'diff.html'} is the same as a page")


def result(root: Path, revision: str, preset: str | None, asked: str | None) -> Any:  # noqa: ANN401 (a Snapshot)
    """The snapshot of a revision's result: as `ci run` made it, else what git and DVC's cache have of it.

    HEAD, where it was not asked for by name, is the workspace unless `ci run` made its result.
    """
    from pipelines.changes.run import result_name
    from pipelines.changes.snapshot import take
    from pipelines.repo.revisions import commit_of, experiment_commit

    name = result_name(commit_of(root, revision), preset)
    if experiment_commit(root, name):
        return replace(take(root, name), name=revision)
    found = take(root, None if revision == "HEAD" and asked is None else revision)
    if preset and found.params.get("name") != preset:
        return found.without_result(f"{revision} has no result of the preset {preset}; `dbdflow ci run` makes one")
    return found


def copy_report(after: Any, path: Path) -> bool:  # noqa: ANN401 (a Snapshot)
    """Put the report of the second revision beside the comment, if the cache has it."""
    try:
        page = after.outputs.files("data/report")["data/report/index.html"].checked().read_bytes()
    except (InputError, KeyError):
        return False
    write_whole(path, page)
    return True


def fitted(lines: list[str]) -> str:
    """The lines as a text that GitHub takes."""
    text = "\n".join(lines) + "\n"
    if len(text) <= LONGEST:
        return text
    cut = text[:LONGEST].rpartition("\n")[0]
    return f"{cut}\n\n(cut here, {len(text) - len(cut)} characters more: see `diff.html`)\n"
