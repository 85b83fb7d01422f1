"""Market core: integer units, orders, mechanisms, netting. No I/O, no clock, no randomness."""
