"""What is in focus in a photograph, from Python; needs neither DVC, Prefect, MLflow nor a checkout.

from dbdflow import Detector

focus = Detector.load("small").map("photo.jpg")     # float32 (H, W), 1 = in focus
"""

from dbdflow.detector import Detector

__all__ = ["Detector"]
