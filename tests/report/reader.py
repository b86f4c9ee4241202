"""The page as a browser's parser sees it: text, tables and everything that could be loaded."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

LOADS = {"src", "srcset", "href", "data", "poster", "action", "xlink:href", "background"}
VOID = {"meta", "img", "link", "br", "hr", "input"}


@dataclass
class Page(HTMLParser):
    """`rows[table][group]`: lists of cell texts, `bold` the cells in bold, by table, group, line and place."""

    rows: dict = field(default_factory=dict)
    bold: set = field(default_factory=set)
    loads: list = field(default_factory=list)
    text: list = field(default_factory=list)
    ids: list = field(default_factory=list)
    stack: list = field(default_factory=list)
    table: str | None = None
    group: str | None = None

    def __post_init__(self):
        super().__init__()

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.loads += [(tag, name, value) for name, value in attrs if name in LOADS]
        if "id" in attributes:
            self.ids.append(attributes["id"])
        if tag not in VOID:
            self.stack.append(tag)
        if tag == "table":
            self.table = attributes.get("data-table") or attributes.get("data-pair")
        elif tag == "tbody" and self.table:
            self.group = attributes.get("data-row", "")
        elif tag == "tr" and self.group is not None and self.table:
            self.rows.setdefault(self.table, {}).setdefault(self.group, []).append([])
        elif tag in ("td", "th") and self.group is not None and self.table:
            self.rows[self.table][self.group][-1].append("")

    def handle_endtag(self, tag):
        opened = self.stack.pop()
        assert opened == tag, f"<{opened}> is closed by </{tag}>"
        if tag == "tbody":
            self.group = None
        elif tag == "table":
            self.table = None

    def handle_data(self, data):
        if not {"style", "script"} & set(self.stack):
            self.text.append(data)
        if self.group is not None and self.table and {"td", "th"} & set(self.stack):
            lines = self.rows[self.table][self.group]
            lines[-1][-1] += data.strip()
            if "b" in self.stack:
                self.bold.add((self.table, self.group, len(lines) - 1, len(lines[-1]) - 1))


def read(html: str) -> Page:
    """Parse a page; an element that is not closed where it should be is an error."""
    page = Page()
    page.feed(html)
    page.close()
    assert page.stack == []
    return page
