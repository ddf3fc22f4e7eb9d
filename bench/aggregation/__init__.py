"""How fast updates are aggregated, against flwr and byzfl in the same run, and in what memory."""
