"""Settings for hydra: `pkg://roadstill.navsim.conf` on its search path."""
