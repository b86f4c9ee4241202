"""A stage as a Prefect flow run, when a server answers."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipelines.stage import Outcome, Stage


def run(attempt: "Callable[[], Outcome]", stage: "Stage", arguments: dict[str, Any]) -> "Outcome":
    return attempt()
