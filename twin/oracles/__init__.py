"""Three sources that must agree on what each participant metered before money follows it."""
