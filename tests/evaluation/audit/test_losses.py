"""What a generator learned by heart is found: by its loss, and by the pictures that it draws."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from made_streets import street, streets

from roadstill.adapters import Full
from roadstill.codecs import PixelCodec
from roadstill.codecs.latents import encode_imageset
from roadstill.denoisers.base import Origin, Sampling
from roadstill.errors import UserError
from roadstill.evaluation.audit.copies import find_copies
from roadstill.evaluation.audit.losses import SHARES, restoring_scores
from roadstill.evaluation.audit.membership import attack_on_generator
from roadstill.evaluation.audit.samples import real_frames
from roadstill.evaluation.audit.views import PixelView
from roadstill.generator.checkpoints import load_denoiser
from roadstill.generator.config import FinetuneConfig, Labels
from roadstill.generator.finetune import finetune
from roadstill.generator.generate import generate
from roadstill.imagesets import ImageSetWriter, open_imageset
from roadstill.networks.kinds import NetworkConfig


def knowing(latents, **origin):
    """A stand-in for a generator that restores these latents ``[n, 3, s, s]`` exactly, and others by a tenth."""
    asked = []

    def residual(clean, label, *, share, noise):
        asked.append((share, noise, label))
        known = (clean[:, None] == latents).flatten(2).all(2).any(1)
        return torch.where(known[:, None, None, None], 1e-12, 0.1).expand_as(clean)

    return SimpleNamespace(residual=residual, latent_shape=tuple(latents.shape[1:]), origin=Origin(**origin)), asked


def test_scores_are_minus_log_errors_under_the_same_noises(tmp_path):
    images, codec = streets(tmp_path / "set", range(5), 4, px=8), PixelCodec()
    known = codec.encode(torch.from_numpy(images.pixels([3])).permute(0, 3, 1, 2) / 127.5 - 1).mean
    denoiser, asked = knowing(known)
    scores = restoring_scores(denoiser, codec, images, np.arange(20))
    assert scores.argmax() == 3
    np.testing.assert_allclose(np.delete(scores, 3), -np.log(0.01), rtol=1e-5)
    assert sorted({share for share, *_ in asked}) == sorted(SHARES)
    for share in SHARES:
        several = [noise[0] for level, noise, _ in asked if level == share]
        assert torch.equal(several[0], several[2])  # of the first and of the second batch
        assert not torch.equal(several[0], several[1])
    assert torch.equal(torch.cat([label for *_, label in asked[:1]]), torch.from_numpy(images.labels[:16]))
    part = restoring_scores(denoiser, codec, images, np.array([3, 7]))
    np.testing.assert_array_equal(part, scores[[3, 7]])


def test_what_does_not_fit_is_refused(tmp_path):
    images, codec = streets(tmp_path / "set", range(2), 1, px=8), PixelCodec()
    latents = torch.zeros(1, 3, 8, 8)
    for origin, says in (
        ({"codec": "other"}, "trained on latents of codec other, but this codec is pixels"),
        ({"class_names": ("a", "b")}, "class"),
    ):
        with pytest.raises(UserError, match=says):
            restoring_scores(knowing(latents, **origin)[0], codec, images, np.arange(2))
    with pytest.raises(UserError, match="few steps"):
        restoring_scores(knowing(latents, distilled=4.0)[0], codec, images, np.arange(2))
    with pytest.raises(UserError, match=r"latents of \(3, 8, 8\), but the generator makes \(3, 4, 4\)"):
        restoring_scores(knowing(torch.zeros(1, 3, 4, 4))[0], codec, images, np.arange(2))


def drives(folder, numbers):
    """One frame of each drive, somewhere along its street."""
    with ImageSetWriter(folder, ("not_brake", "brake"), 16) as writer:
        for number in numbers:
            facts = {"drive": f"d{number}", "log": f"l{number}", "token": f"t{number}"}
            writer.add(street(number, 0.3 + 0.6 * (number % 7) / 7, 16), number % 2, facts)
    return open_imageset(folder)


@pytest.mark.slow
def test_a_generator_that_learned_twenty_frames_by_heart(tmp_path):
    """A small DiT, trained on 20 frames until it draws nothing else; four minutes of a processor."""
    train, dev = drives(tmp_path / "train", range(20)), drives(tmp_path / "dev", range(100, 140))
    codec = PixelCodec()
    latents = encode_imageset(train, codec, tmp_path / "latents")
    config = FinetuneConfig(
        steps=1500, batch_size=40, learning_rate=2e-3, lr_decay="cosine", clip=1.0, optimiser="muon", save_every=1500,
        objective="v_prediction", adapters=(Full(),), labels=Labels(dropout=0.0),
        network=NetworkConfig(patch_size=4, hidden_size=128, depth=4, num_heads=4, learn_sigma=False),
    )  # fmt: skip
    denoiser = load_denoiser(finetune(latents, base=None, out=tmp_path / "made", config=config, seed=0))
    sampling = Sampling(guidance=1.0, steps=50)
    made = generate(denoiser, codec, per_class=10, seed=0, config=sampling, out=tmp_path / "set")
    real = real_frames(train, dev)
    found = find_copies(made, real, [PixelView()])
    assert found.flagged >= 19
    assert np.mean([each.flagged for each in found.checked.values()]) <= 0.05
    further = drives(tmp_path / "further", range(200, 240))
    assert find_copies(further, real, [PixelView()]).flagged <= 2  # 5 %
    by_loss = attack_on_generator(denoiser, codec, real)
    assert by_loss.found >= 0.9
    assert by_loss.interval[0] > 0.01
