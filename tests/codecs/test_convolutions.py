"""The networks of the codec: shapes, edges of pictures, and residual paths that cannot die."""

import torch

from roadstill.codecs import CodecConfig, SmallCodec
from roadstill.codecs.convolutions import Decoder, Encoder, LappedPatches, Residual
from roadstill.codecs.starts import initialise


def test_shapes():
    latents = Encoder(4, 8, 2, (1, 1, 2))(torch.zeros(2, 3, 32, 16))
    assert latents.shape == (2, 4, 4, 2)
    assert Decoder(4, 8, 2, (2, 1, 1))(latents).shape == (2, 3, 32, 16)


def test_a_flat_colour_is_flat_up_to_the_edges():
    patches = LappedPatches(4, 8).requires_grad_(False)
    patches.weight.fill_(0.1)
    patches.bias.zero_()
    flat = patches(torch.ones(1, 4, 3, 5))
    assert flat.shape == (1, 3, 24, 40)
    torch.testing.assert_close(flat, torch.full_like(flat, 1.6))  # four cells of four channels


def test_a_residual_path_passes_on_what_a_relu_would_cut_off():
    block = Residual(4).requires_grad_(False)
    torch.nn.init.zeros_(block.branch[-1].weight)
    torch.nn.init.zeros_(block.branch[-1].bias)
    hidden = -torch.rand(1, 4, 5, 5)
    assert torch.equal(block(hidden), hidden)


def test_networks_begin_as_nothing_and_every_weight_learns_soon():
    torch.manual_seed(0)
    codec = SmallCodec(CodecConfig(latent_channels=4, width=12, encoder_blocks=(1, 1), decoder_blocks=(1, 1)))
    initialise(codec)
    pixels = torch.rand(4, 3, 16, 16) * 2 - 1
    assert not codec.encoder(pixels).any()
    assert not codec.decoder(torch.randn(1, 4, 4, 4)).any()
    optimizer = torch.optim.AdamW(codec.parameters(), lr=1e-2, weight_decay=0.0)
    for _ in range(4):
        optimizer.zero_grad()
        (codec.decode_raw(codec.encode_raw(pixels)) - pixels).square().mean().backward()
        optimizer.step()
    assert all(weight.grad.any() for weight in codec.parameters())
