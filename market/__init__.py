"""Market core: integer units, orders, mechanisms, netting. Pure numpy and numba; no I/O, no clock, no randomness."""
