"""Where the published archives, weights and maps are, as their authors publish them: facts only.

Addresses are tried in order. `by_hand` is for a person with a browser. A checksum is pinned where one is known; the
first one seen of any other is recorded (see `components.common.ledger`) and held to afterwards.
"""

import difflib
from dataclasses import dataclass, field

from components.common.errors import InputError


@dataclass(frozen=True)
class Archive:
    """One file to fetch: an archive of photographs, labels or maps, or a file of weights."""

    name: str
    what: str
    addresses: tuple[str, ...] = ()
    by_hand: str = ""
    """Where a person finds it when no address answers."""
    sha256: dict[str, str] = field(default_factory=dict)
    """Pinned checksum of an address, 64 hex digits."""
    sha256_start: str = ""
    """First hex digits of the sha256, as torch's naming convention states them in the name of a published file."""
    named_by_sum: tuple[str, ...] = ()
    """Addresses at which the file is named so."""
    suffix: str = ""
    """Of the file under which it is kept; archives are told by content."""

    @property
    def file(self) -> str:
        """Name under which it is kept in the inbox."""
        return f"{self.name}{self.suffix}"


def drive(file_id: str) -> str:
    """Address of a Google Drive file."""
    return f"https://drive.google.com/uc?id={file_id}"


CUHK_SITE = "http://www.cse.cuhk.edu.hk/leojia/projects/dblurdetect/data"
MIDAS_RELEASE = "https://github.com/isl-org/MiDaS/releases/download/v2_1"
BAIDU = "https://pan.baidu.com/s/"

SET_ARCHIVES: dict[str, tuple[Archive, ...]] = {
    "cuhk": (
        Archive("cuhk_images", "photographs of CUHK", (f"{CUHK_SITE}/BlurDatasetImage.zip",)),
        Archive("cuhk_labels", "labels of CUHK", (f"{CUHK_SITE}/BlurDatasetGT.zip",)),
    ),
    "dut": (
        Archive(
            "dut_test",
            "test photographs and labels of DUT",
            (drive("1Qmcu6GDgKhiHVgLxeQg23tfy5I1Xg5Xk"), drive("109c36vRDagDcjUbUtBouausXz0DOkA-w")),
            f"the bundle with training data on Baidu, {BAIDU}1_3Z7w9IrlqOU25QbVdhytQ (code aktv)",
        ),
    ),
    "ctcug": (),
    "ebd": (
        Archive(
            "ebd",
            "photographs and labels of EBD",
            (drive("1pkgfGSKx80Eq1_kq6-PwYl6zSYXwkqS8"),),
            f"Baidu, {BAIDU}1mL9gYu-2tnKR4lQoB3jAOA (code cqoz)",
        ),
    ),
}
"""Archives that together hold a set, as far as they can be fetched without a person."""

BY_HAND = {
    "dut": {"train": f"only in the bundle on Baidu, {BAIDU}1_3Z7w9IrlqOU25QbVdhytQ (code aktv)"},
    "ctcug": {"all": "no public link is known: ask the authors of CTCUG (Tang et al., TPAMI 2020)"},
}
"""Set -> part -> where a person gets a part that no archive above holds."""

MIDAS_DRIVE = drive("1puxWdaUYayZhjf9WGGCwhMfkapl71eeB")
"""There it is midas_v21-f6b98070.pt."""
MIDAS = Archive(
    "midas_v21",
    "MiDaS v2.1, the depth teacher's weights",
    (f"{MIDAS_RELEASE}/midas_v21_384.pt", MIDAS_DRIVE),
    sha256_start="f6b98070",
    named_by_sum=(MIDAS_DRIVE,),
    suffix=".pt",
)

CHECKPOINT_IDS = {
    "published_dffnet_cuhk1": "10UhCeEEl7OYjwzHZZByPbe6WpxqnWtbR",
    "published_d_dffnet_cuhk1": "1BRWXt8xphFv6AQDZwan4umm9EX3X4E2x",
    "published_dffnet_cuhk1_dut": "1GN-HZ_lSZg25iX8d0fEx0qFZKXjCEhwc",
    "published_d_dffnet_cuhk1_dut": "1NmrA8amNLkI-QPIq_N0Ti36Su7ungMo1",
    "published_dffnet_cuhk2_dut": "1qiSoClOHZ9jV6qcaTOr6-QSh0ySwCsaX",
    "published_d_dffnet_cuhk2_dut": "1hU81jbHG-55HmaSgb0_GXOKhRC-enL8Q",
}
CHECKPOINTS = {
    name: Archive(name, f"the authors' weights {name}", (drive(file_id),), suffix=".pth")
    for name, file_id in CHECKPOINT_IDS.items()
}

MAPS_IDS = {
    "maps_cuhk1": "1ncVmYz26pmu_yS_J0Jbe15yvxJDQU3cS",
    "maps_cuhk1_dut": "1tLC7zkD2oFu7hsjHA0w615rKqX6bgtAg",
    "maps_cuhk2_dut": "1nfH4l-E2yZuxTd-qh3sRHtYcCZPJW_tR",
}
MAPS = {
    name: Archive(name, f"the authors' result maps {name}", (drive(file_id),)) for name, file_id in MAPS_IDS.items()
}
TE2_MAPS = "maps_cuhk2_dut"
"""The archive whose file names give CUHK-TE-2."""
TE2 = "cuhk_te2"
"""Name of the list of CUHK-TE-2 among what can be imported or gone without."""

ITEMS = (*SET_ARCHIVES, TE2, MIDAS.name, *CHECKPOINTS, *MAPS)
"""What a person may import by name, or go without."""

BACKBONES = {"resnest101e": "22405ba7", "vgg16": "397923af"}
"""timm name -> first hex digits of the sha256 in the name of the file of ImageNet weights (`resnest101-22405ba7.pth`).

timm fetches them itself; a person without a network imports the file.
"""


def find_item(name: str) -> str:
    """`name`, if it is one of `ITEMS`.

    Raises:
        InputError: it is not; the nearest one is named.
    """
    if name not in ITEMS:
        near = difflib.get_close_matches(name, ITEMS, n=1, cutoff=0.0)[0]
        raise InputError(f"{name!r}: nothing of this name; did you mean {near!r}? (known: {', '.join(ITEMS)})")
    return name
