"""Pieces of Markdown as GitHub reads it. What comes from params or data can neither break a table nor name anybody."""

from collections.abc import Iterable, Iterator, Sequence

NOBODY = "@\u200b"
"""An @ that GitHub does not take for the beginning of a person's name."""


def plain(text: str) -> str:
    """Text in a table or a paragraph."""
    return one_line(text).replace("<", "&lt;").replace("@", NOBODY)


def code(text: str) -> str:
    """Text as code, in a table too."""
    return f"`{one_line(text).replace('`', '')}`"


def one_line(text: str) -> str:
    return text.replace("|", r"\|").replace("\r", " ").replace("\n", " ")


def table(head: Sequence[str], rows: Iterable[Sequence[str]], empty: str = "") -> Iterator[str]:
    """Lines of a table of ready cells; the words `empty` where it has no rows."""
    listed = list(rows)
    if not listed:
        yield empty
        return
    yield f"| {' | '.join(head)} |"
    yield "|" + "---|" * len(head)
    yield from (f"| {' | '.join(row)} |" for row in listed)
