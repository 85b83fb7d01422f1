"""Chain settlement: an embedded EVM or any JSON-RPC node behind one contract of ours."""
