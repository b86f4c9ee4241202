"""What is in focus in a photograph: `Detector.load().map("photo.jpg")`. Needs neither DVC, Prefect, MLflow nor a checkout."""

from dbdflow.detector import Detector

__all__ = ["Detector"]
