"""The miniature: photographs and labels rendered through a thin lens."""
