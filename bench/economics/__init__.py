"""What each strategy earns: the scoring code's own ballots, the contracts' own arithmetic."""
