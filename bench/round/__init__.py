"""A whole round, ours and Flower's: what it takes, where the time goes, how it grows."""
