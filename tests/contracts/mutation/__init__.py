"""Mutation testing of the contracts: `make mutation`."""
