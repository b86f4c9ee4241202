"""MLflow's server as one process, on tables that are complete before it or a courier can race for them.

`python -m pipelines.tracking.mlflow_server PORT`
"""

import sqlite3
import sys
import time
from contextlib import closing

from pipelines.system import environment
from pipelines.tracking import courier
from pipelines.tracking.client import EXPERIMENT, database

HOST = environment.LOOPBACK[0]
POLL = 0.5  # seconds


def ready() -> bool:
    """Whether the database is complete: its experiment is the last thing that `Tracker` makes in a fresh one."""
    if not database().exists():
        return False
    try:
        with closing(sqlite3.connect(f"{database().as_uri()}?mode=ro", uri=True)) as connection:
            found = connection.execute("select 1 from experiments where name = ?", [EXPERIMENT])
            return found.fetchone() is not None
    except sqlite3.OperationalError:  # no such table yet, or being written
        return False


def make_tables() -> None:
    """Make the tables of a fresh database, or let the courier that is about it: two at once break it."""
    while not ready():
        with courier.only_one() as free:
            if free:
                from pipelines.tracking.client import Tracker

                Tracker()
        if not free:
            time.sleep(POLL)
        elif courier.pending():  # a stage that began meanwhile found the courier's place taken
            courier.start()


def main() -> None:
    """Serve on the port given."""
    import uvicorn

    environment.apply()
    make_tables()
    uvicorn.run("mlflow.server.fastapi_app:app", host=HOST, port=int(sys.argv[1]), log_level="warning")


if __name__ == "__main__":
    main()
