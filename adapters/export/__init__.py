"""Export formats: the run folder, JUnit."""
