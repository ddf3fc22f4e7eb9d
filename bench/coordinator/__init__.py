"""A coordinator under load, and its indexer alone: `python -m bench.coordinator --help`."""
