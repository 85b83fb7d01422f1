"""Benches, emulated devices, the write gate, safe states: everything between a role and a device."""
