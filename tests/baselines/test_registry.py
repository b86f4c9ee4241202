import subprocess
import sys

import pytest

from components.baselines import BASELINES, baseline
from components.baselines.hifst import hifst
from components.errors import InputError


def test_a_baseline_is_found_by_name():
    assert baseline("hifst") is hifst


@pytest.mark.parametrize("name", BASELINES)
def test_every_entry_leads_to_a_function(name):
    assert callable(baseline(name))


def test_unknown_name_names_the_nearest():
    with pytest.raises(InputError, match=r"'hifts' is unknown; expected one of .*hifst.*; did you mean 'hifst'\?"):
        baseline("hifts")


def test_listing_the_names_imports_no_baseline():
    code = "import sys, components.baselines; sys.exit('cv2' in sys.modules or 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
