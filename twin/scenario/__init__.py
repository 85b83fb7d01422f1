"""Scenario files: schema, loading, problems."""
