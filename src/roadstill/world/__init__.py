"""The built-in driving world: synthetic drives, logs and pictures in the genuine NAVSIM layout."""
