"""Contracts with a planted bug, and the Solidity tests that must notice it."""
