"""The checkout, as git and DVC see it."""
