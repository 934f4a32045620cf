"""Pickles of strangers, read without running the code that they name."""
