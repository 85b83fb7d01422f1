"""The trade gate: which trades the feeder can carry, and who is behind a violation."""
