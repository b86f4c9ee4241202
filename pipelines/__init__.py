"""Stages, what runs them, and what watches (ARCHITECTURE.md has the picture).

A stage that DVC started ends with it from its first moment: importing torch takes seconds, in which a killed DVC would
leave it behind (later `pipelines.harness.main` watches in more ways).
"""

import os

if "DVC_STAGE" in os.environ:
    from pipelines.system.processes import die_with_parent

    die_with_parent()
