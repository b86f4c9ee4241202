"""The process that carries journals to MLflow."""


def start() -> None:
    """Start a courier if none is running."""
