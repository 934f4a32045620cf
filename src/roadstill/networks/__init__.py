"""Network bodies, written in the key layout of the checkpoints that they load."""
