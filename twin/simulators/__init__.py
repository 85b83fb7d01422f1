"""One thin mosaik simulator per kind; the domain classes they move values for live beside them in `twin/`."""
