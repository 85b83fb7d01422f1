"""One outside thing per module, each behind a small ``Protocol``."""
