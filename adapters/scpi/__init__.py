"""Instruments that speak SCPI over a TCP socket: the AC source (grid simulator) of a bench."""
