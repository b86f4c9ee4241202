"""Detectors of the paper and the depth teacher."""

DETECTOR_NAMES = ("dffnet", "dffnet_without_dffm", "dffnet_vgg16", "pdnet", "rdffnet")
DEPTH_NAMES = ("midas",)
MODEL_NAMES = (*DETECTOR_NAMES, *DEPTH_NAMES)
