"""Processes, signals, locks, the environment."""
