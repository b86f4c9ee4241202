"""The figures of docs/study.md: what stands there between the two marks."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from components.common.errors import InputError
from components.common.storage import write_whole
from components.study.design import Design
from components.study.forest import forest
from components.study.results import Results
from components.study.statistics import Estimate
from components.study.verdicts import FEWEST, Answer, answers

BEGIN, END = "<!-- {}: begin -->", "<!-- {}: end -->"
"""Around the figures of a scale."""
PICTURE = "study_{}.svg"
CAPTION = (
    f"*Circle and line: mean and 95 % interval. A hollow circle has fewer than {FEWEST} seeds, which give no interval "
    "to rely on.*"
)
DETAILS = (
    "p: of the hypothesis that each verdict rejects, adjusted over the family by Holm; a verdict needs 0.025. Least "
    "gain: what a single test would find four times in five, with these seeds and, as the photographs set it, with any "
    "number of them. On these photographs: the interval if CUHK-TE-1 were all there is, so that only seeds are drawn; "
    "it decides nothing. d: the gain over the standard deviation of a photograph's gain in one seed."
)


def write_page(page: Path, design: Design, results: Results, *, scale: str, seeds: int) -> list[Answer]:
    """Write the figures into the page, and the forest plot beside it.

    Args:
        page: docs/study.md.
        design, results: what was to run, and what has.
        scale: whose figures they are.
        seeds: of a row that were to run.

    Raises:
        InputError: the page lacks the marks.
    """
    text, begin, end = page.read_text(encoding="utf-8"), BEGIN.format(scale), END.format(scale)
    before, found, rest = text.partition(f"{begin}\n")
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise InputError(f"{page}: no line {begin} with {end} below it; `git checkout {page}` brings them back")
    answered, picture = answers(design.claims, results), PICTURE.format(scale)
    written = [f"![every claim's gain in MAE with its 95 % interval]({picture})", "", CAPTION, ""]
    written = [*head(design, results, scale, seeds), "", *written, *tables(design, results, answered, seeds)]
    write_whole(page.with_name(picture), forest(answered))
    write_whole(page, f"{before}{found}" + "\n".join(written) + f"\n{closed}{after}")
    return answered


def tables(design: Design, results: Results, found: Sequence[Answer], seeds: int) -> list[str]:
    """Markdown: claims, their details, rows."""
    return [
        "| | claim | seeds | gain in MAE (95 %) | the paper's | verdict |",
        "|---|---|---|---|---|---|",
        *(claim_line(each, seeds) for each in found),
        "",
        f"Every verdict is one of this scale and this encoder. In detail, for what has {FEWEST} seeds:",
        "",
        "| | photographs | held against | p: holds, does not hold | least gain to be found | on these photographs | d "
        "| gain in F-beta | gain in IoU |",
        "|---|---|---|---|---|---|---|---|---|",
        *(detail_line(each) for each in found if each.told),
        "",
        DETAILS,
        "",
        "| row | seeds | MAE (spread over seeds) | F-beta | IoU | minutes of a core each |",
        "|---|---|---|---|---|---|",
        *(row_line(name, row.title, results) for name, row in design.rows.items()),
    ]


def head(design: Design, results: Results, scale: str, seeds: int) -> list[str]:
    """What ran, where, and by what command."""
    done, wanted = len(results.runs), len(design.rows) * seeds
    told = {key: list(dict.fromkeys(each[key] for each in results.facts.values())) for key in ("commit", "machine")}
    hours = sum(float(each["minutes"]) for each in results.facts.values()) / 60
    whole = "all of them" if done == wanted else "what was run is reported as what it is"
    return [
        "Written by `dbdflow study --page` from `benchmarks/study/`: nothing here is typed by hand.",
        "",
        f"**{done} of {wanted} runs** ({whole}), encoder MobileNetV2, scale {scale}. {'; '.join(told['machine'])}; "
        f"{hours:.1f} hours of a core; commit {', '.join(told['commit'])}. "
        f'Command: `make study ARGS="--scale {scale} --seeds {seeds}"`.',
    ]


def claim_line(answer: Answer, seeds: int) -> str:
    """A claim's line of the first table."""
    claim = answer.claim
    gain = "" if answer.gain is None else with_interval(answer.gain, 4) if answer.told else f"{answer.gain.mean:+.4f}"
    paper = "" if claim.paper is None else f"{claim.paper:.3f}"
    return f"| {claim.name} | {claim.says} | {len(answer.seeds)} of {seeds} | {gain} | {paper} | **{answer.word}** |"


def detail_line(answer: Answer) -> str:
    """Its line of the second, which it has with seeds enough."""
    gain = answer.gain
    assert gain is not None
    within = answer.claim.test == "within_seed"
    numbers = [str(answer.photographs), f"{'-s to s: ' if within else ''}{answer.bound:.4f}"]
    numbers += [f"{answer.p_holds:.3f}, {answer.p_fails:.3f}"]
    numbers += ["" if within else f"{gain.detectable:.4f}, {gain.detectable_ever:.4f}"]
    numbers += ["{:+.4f} to {:+.4f}".format(*gain.on_these), f"{gain.effect:+.2f}"]
    numbers += [with_interval(each, 3) for each in answer.others] if answer.others else ["", ""]
    return f"| {' | '.join([answer.claim.name, *numbers])} |"


def with_interval(estimate: Estimate, digits: int) -> str:
    """A mean with its interval."""
    low, high = estimate.interval
    return f"{estimate.mean:+.{digits}f} ({low:+.{digits}f} to {high:+.{digits}f})"


def row_line(name: str, title: str, results: Results) -> str:
    """A row's line of the table."""
    seeds = results.seeds(name)
    if not seeds:
        return f"| {title} | 0 | | | | |"
    mae, f_beta, iou = (results.stack(name, each, seeds).mean(1) for each in ("mae", "f_beta", "iou"))
    spread = f" ({mae.std(ddof=1):.4f})" if len(seeds) > 1 else ""
    minutes = np.mean([float(results.facts[name, seed]["minutes"]) for seed in seeds])
    numbers = f"{mae.mean():.4f}{spread} | {f_beta.mean():.3f} | {iou.mean():.3f} | {minutes:.1f}"
    return f"| {title} | {len(seeds)} | {numbers} |"
