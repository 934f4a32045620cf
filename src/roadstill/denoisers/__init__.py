"""Denoisers: a network with its noise; each can estimate (training) and generate (sampling)."""
