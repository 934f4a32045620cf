"""Generators: settings, assembly, training, checkpoints, and what is drawn from them."""
