"""Accuracy against bytes per update, for each encoding and for long local phases."""
