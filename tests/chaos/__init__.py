"""Faults at every step of a job on real processes: `python -m tests.chaos --help`."""
