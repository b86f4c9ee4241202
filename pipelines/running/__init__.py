"""A reproduction, whoever asked for it: what is stale, in which order, with which resources."""
