"""A prepared set, and the batches of it that a network sees."""
