"""MLflow's server as one process, on tables that are complete before it or a stage can race for them.

`python -m pipelines.tracking.mlflow_server PORT`
"""

import sys

from pipelines.system import environment
from pipelines.tracking.client import Store

HOST = environment.LOOPBACK[0]


def main() -> None:
    """Serve on the port given."""
    import uvicorn

    environment.apply()
    Store()
    uvicorn.run("mlflow.server.fastapi_app:app", host=HOST, port=int(sys.argv[1]), log_level="warning")


if __name__ == "__main__":
    main()
