"""CSV tables of camera frames, as simulators and scripts write them."""
