"""The four data sets of the paper (section IV.A; Appendix A, Table VII): facts only.

Where the photographs and labels of a set lie, what white means in its labels, how many there are, and which
photographs belong to which split. `components.acquire.sources` says where the archives come from.
"""

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from components.common.errors import InputError

PACKAGED_LISTS = Path(__file__).parent
RENDERED = "rendered.json"
"""In the raw folder of a rendered stand-in: its settings and the number of photographs of each part."""


@dataclass(frozen=True)
class Part:
    """One folder of photographs and its folder of labels, relative to the set's raw folder."""

    name: str
    images: str
    labels: str
    expected: int
    """Pairs in the published archive."""
    splits: tuple[str, ...] = ()
    """Splits that every photograph of this part belongs to."""
    other_layouts: tuple[tuple[str, str], ...] = ()
    """Folders of photographs and labels in other archives of the same part."""

    @property
    def layouts(self) -> tuple[tuple[str, str], ...]:
        """Where an archive may hold photographs and labels, our own layout first."""
        return ((self.images, self.labels), *self.other_layouts)


@dataclass(frozen=True)
class ListedSplit:
    """A split by a list of stems, one a line: listed photographs are `test`, all the others `train`.

    CUHK-TR-1-VAL, 60 photographs of CUHK-TR-1 drawn once, is what choices are made on; CUHK-TE-1 chooses nothing.

    The list is read from the raw folder, else from beside this module, else both splits are empty.
    """

    train: str
    test: str
    file: str
    expected: int
    """Stems on the list for the published archive."""
    within: str = ""
    """The training split that is divided, where that is not the whole set: into one to fit and one to choose by."""


@dataclass(frozen=True)
class ShallowPart:
    """The photographs of shallow DOF: those listed in `file` (raw folder), else the first `count` in order."""

    split: str
    file: str
    count: int


@dataclass(frozen=True)
class DataSet:
    """One data set: layout, polarity, splits and sources."""

    name: str
    title: str
    parts: tuple[Part, ...]
    white: Literal["in_focus", "out_of_focus"]
    """What a white label pixel means in the archive; prepared labels are always 1 = in focus."""
    grey_tolerance: float
    """Largest fraction of a label's pixels that may be neither black nor white (between 10 % and 90 % grey)."""
    stem_prefix: str = ""
    """Only photographs whose stem starts so belong to the set (CUHK also holds motion blur)."""
    foreign_prefixes: tuple[str, ...] = ()
    """Photographs whose stem starts so belong to another set that shares the folder, or its name."""
    listed: tuple[ListedSplit, ...] = ()
    shallow: ShallowPart | None = None
    depth: str = ""
    """Folder of depth maps that may lie beside the photographs (see `components.prepare.depths`)."""

    @property
    def trains(self) -> bool:
        """Whether one of its splits is for training."""
        return any("-TR" in split for split in self.splits)

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of all splits of this set, in the order of the paper."""
        names = [split for listed in self.listed for split in (listed.train, listed.test)]
        names += [split for part in self.parts for split in part.splits]
        return (*names, *((self.shallow.split,) if self.shallow else ()))


CUHK_PREFIXES = ("out_of_focus", "motion")

CUHK = DataSet(
    name="cuhk",
    title="CUHK blur detection data set (Shi et al., CVPR 2014), its 704 out-of-focus photographs",
    parts=(Part("all", "image", "gt", expected=704),),
    white="out_of_focus",
    grey_tolerance=0.05,
    stem_prefix="out_of_focus",
    listed=(
        ListedSplit("CUHK-TR-1", "CUHK-TE-1", "cuhk_te1.txt", expected=100),
        ListedSplit("CUHK-TR-2", "CUHK-TE-2", "cuhk_te2.txt", expected=100),
        ListedSplit("CUHK-TR-1-FIT", "CUHK-TR-1-VAL", "cuhk_validation.txt", expected=60, within="CUHK-TR-1"),
    ),
    depth="depth",
)

DUT_FOLDER = "DUT-DBD_Dataset"
DUT = DataSet(
    name="dut",
    title="DUT-DBD (Zhao et al., CVPR 2018)",
    parts=(
        Part(
            "train",
            f"{DUT_FOLDER}/DUT600S_Training",
            f"{DUT_FOLDER}/DUT600GT_Training",
            600,
            ("DUT-TR",),
            (("DUT600S_Training", "DUT600GT_Training"), ("1204source", "1204gt")),  # the latter with CUHK-TR-1
        ),
        Part(
            "test",
            f"{DUT_FOLDER}/DUT500S-Testing",
            f"{DUT_FOLDER}/DUT500GT-Testing",
            500,
            ("DUT-TE",),
            (("DUT500S-Testing", "DUT500GT-Testing"), ("dut500-source", "dut500-gt")),
        ),
    ),
    white="in_focus",
    grey_tolerance=0.20,
    foreign_prefixes=CUHK_PREFIXES,
)

CTCUG = DataSet(
    name="ctcug",
    title="CTCUG (Tang et al., TPAMI 2020)",
    parts=(Part("all", "CTCUG/CTCUG_images", "CTCUG/CTCUG_gt", 150, ("CTCUG",), (("CTCUG_images", "CTCUG_gt"),)),),
    white="out_of_focus",
    grey_tolerance=0.10,
)

EBD = DataSet(
    name="ebd",
    title="EBD (Jin et al., ICME 2023): first 1305 photographs of shallow DOF, last 300 of wide DOF",
    parts=(Part("all", "EBD/image", "EBD/gt", 1605, ("EBD",), (("image", "gt"),)),),
    white="in_focus",
    grey_tolerance=0.10,
    foreign_prefixes=CUHK_PREFIXES,
    shallow=ShallowPart("EBD(1305)", "ebd_shallow.txt", count=1305),
)

SETS = {dataset.name: dataset for dataset in (CUHK, DUT, CTCUG, EBD)}


def find_set(name: str) -> DataSet:
    """The data set called `name`.

    Raises:
        InputError: no such set.
    """
    if name not in SETS:
        near = difflib.get_close_matches(name, SETS, n=1, cutoff=0.0)[0]
        raise InputError(f"no data set {name!r}; did you mean {near!r}? (known: {', '.join(SETS)})")
    return SETS[name]
