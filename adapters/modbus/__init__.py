"""Modbus transport and SunSpec device profiles. The only package that knows pymodbus."""
