"""Trainings that are killed and started again."""

import pytest

from roadstill.generator import step as stepping
from roadstill.generator.finetune import finetune


class Killed(Exception):
    pass


def run_broken(monkeypatch, at, latents, **arguments):
    """Kills the training when step ``at`` has been saved (and one more has been done), then starts it again."""
    batch = stepping._batch

    def bomb(store, config, seed, step, share, shares):
        if step > at:
            raise Killed
        return batch(store, config, seed, step, share, shares)

    with monkeypatch.context() as patch:
        patch.setattr(stepping, "_batch", bomb)
        with pytest.raises(Killed):
            finetune(latents, **arguments)
    return finetune(latents, **arguments)
