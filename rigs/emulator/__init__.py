"""Emulated devices, each in a process of its own behind a real socket."""
