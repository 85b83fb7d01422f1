"""Grid engines: pandapower (reference), power-grid-model (fast), behind one contract."""
