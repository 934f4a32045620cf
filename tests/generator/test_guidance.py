"""A teacher's lead: where it points, and what it does to generated pictures."""

import pytest
import torch

from roadstill.codecs import CodecConfig, SmallCodec
from roadstill.errors import UserError
from roadstill.generator.guidance import towards


class Brightness:
    """Calls bright pictures class 1."""

    class_names, digest = ("dark", "bright"), "brightness"

    def logits(self, pictures):
        level = 4 * (pictures.mean((1, 2, 3)) - 0.5)
        return torch.stack([-level, level], 1)


def test_the_lead_is_of_unit_size_and_makes_the_label_likelier():
    with torch.random.fork_rng():
        torch.manual_seed(3)
        codec = SmallCodec(CodecConfig(latent_channels=4, width=16, encoder_blocks=(1, 1), decoder_blocks=(1, 1)))
        clean = torch.randn(4, 4, 8, 8)
    codec.eval().requires_grad_(False)
    labels = torch.tensor([0, 1, 1, 0])
    guide = towards(Brightness(), codec, labels)
    with torch.no_grad():  # as in sampling
        lead = guide(clean)
        before, after = (
            Brightness().logits((codec.decode(latents) + 1) / 2).log_softmax(1)[range(4), labels]
            for latents in (clean, clean + 0.1 * lead)
        )
    assert not lead.requires_grad
    torch.testing.assert_close(lead.square().flatten(1).mean(1), torch.ones(4))
    assert (after > before).all()
    # Each picture's lead is its own.
    torch.testing.assert_close(towards(Brightness(), codec, labels[2:])(clean[2:]), lead[2:], rtol=1e-4, atol=1e-5)


def test_a_teacher_that_is_sure_beyond_the_numbers_leads_nowhere():
    class Sure(Brightness):
        def logits(self, pictures):
            return 1e6 * super().logits(pictures)

    codec = SmallCodec(CodecConfig(latent_channels=4, width=16, encoder_blocks=(1, 1), decoder_blocks=(1, 1)))
    clean = torch.zeros(1, 4, 8, 8)
    labels = Sure().logits((codec.decode(clean) + 1) / 2).argmax(1)
    assert not towards(Sure(), codec, labels)(clean).any()


def test_a_teacher_of_nan_is_refused():
    class Odd(Brightness):
        def logits(self, pictures):
            return super().logits(pictures) * float("nan")

    codec = SmallCodec(CodecConfig(latent_channels=4, width=16, encoder_blocks=(1, 1), decoder_blocks=(1, 1)))
    with pytest.raises(UserError, match="teacher's loss"):
        towards(Odd(), codec, torch.tensor([0]))(torch.zeros(1, 4, 8, 8))
