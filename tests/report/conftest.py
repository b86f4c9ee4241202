"""One synthetic experiment and its page for the tests of this folder."""

from pathlib import Path

import pytest

from components.report.page import build_report
from tests.report import synthetic


@pytest.fixture(scope="session")
def experiment(tmp_path_factory) -> Path:
    """A folder with everything `build_report` reads, and the report of the miniature in `report/`."""
    root = tmp_path_factory.mktemp("experiment")
    synthetic.write_experiment(root)
    build_report(**synthetic.arguments(root))
    return root
