"""How many CPU cores this process may use; standard library only."""

import os


def cores() -> int:
    """Cores that a stage has been given (`DBDFLOW_CORES`, by `dbdflow reproduce`), else those of this process."""
    if given := os.environ.get("DBDFLOW_CORES"):
        return int(given)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
