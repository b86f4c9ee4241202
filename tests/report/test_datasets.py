"""What the page says of the prepared sets, from sets that `prepare` made."""

import re

import numpy as np
import pytest
from PIL import Image

from components.prepare.build import prepare_set
from components.report.charts import histogram
from components.report.datasets import FACTS, duplicates_across, facts_of, open_sets
from tests.data.conftest import mask


def smooth(path, seed):
    """A photograph of a few soft patches of colour, 20 x 30 pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    patches = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    Image.fromarray(patches).resize((30, 20), Image.Resampling.BICUBIC).save(path)


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    """CUHK and DUT of two training and two test photographs; one of CUHK-TR-1 is a test photograph of DUT."""
    root = tmp_path_factory.mktemp("sets")
    for seed, stem in ((1, "out_of_focus0001"), (2, "out_of_focus0002")):
        smooth(root / f"raw/cuhk/image/{stem}.png", seed)
        mask(root / f"raw/cuhk/gt/{stem}.png")
    for seed, stem in ((2, "4"), (3, "5")):
        smooth(root / f"raw/dut/DUT-DBD_Dataset/DUT500S-Testing/{stem}.png", seed)
        mask(root / f"raw/dut/DUT-DBD_Dataset/DUT500GT-Testing/{stem}.bmp")
    mask(root / "raw/cuhk/gt/out_of_focus0003.png", white=0)
    for name in ("cuhk", "dut"):
        prepare_set(name, root / "raw" / name, root / "prepared" / name, image_size=32, partial=True)
    return open_sets(root / "prepared")


def test_facts_of_a_set(sets):
    facts = facts_of(sets[0])
    assert (facts.name, facts.rendered) == ("cuhk", False)
    assert dict(zip(FACTS, facts.cells, strict=True)) == {
        "Pairs of photograph and label": "2 of 704",
        "Labels without a photograph, kept": "1: gt/out_of_focus0003.png",
        "Photographs without a label, left out": "none",
        "Width in pixels": "30",
        "Height in pixels": "20",
        "Most frequent size": "30×20, 3 of 3",
        "White in the archive’s labels": "out of focus",
        "Labels with grey pixels (10 to 90%)": "none",
        "Fraction in focus": "mean 77.8%, 66.7% to 100.0%",
        "Labels all in focus": "1: gt/out_of_focus0003.png",
        "Labels without focus": "none",
        "Near-duplicates of training and test": "none",
        "Photographs of the same pixels": "none",
    }


def test_a_photograph_in_two_sets_is_told(sets):
    (found,) = duplicates_across(sets)
    assert (found.training, found.test, found.phash, found.dhash) == ("cuhk/out_of_focus0002", "dut/test-4", 0, 0)


def test_sets_without_hashes_are_left_out(sets):
    (sets[1].folder / "hashes.npy").unlink()
    assert duplicates_across(sets) == []


def test_the_histogram_is_as_high_as_its_highest_count():
    svg = histogram([0, 1, 4])
    assert re.findall(r'y="([\d.]+)" width="10" height="([\d.]+)"', svg) == [
        ("28.0", "0.0"),
        ("21.0", "7.0"),
        ("0.0", "28.0"),
    ]
    assert 'aria-label="0, 1, 4"' in svg
