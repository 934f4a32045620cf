"""Untrusted pickles, read without running the code that they name."""
