import pytest
import torch
from safetensors.torch import save_file

from roadstill.errors import UserError
from roadstill.generator.checkpoints import load_denoiser
from roadstill.networks.dit import DiT
from roadstill.networks.interchange import (
    from_diffusers,
    load_dit,
    open_diffusers_dit,
    save_diffusers,
    save_original,
    to_diffusers,
)
from roadstill.schedules import spoon_cosine


def shaken(**more) -> DiT:
    network = DiT(
        input_size=8, patch_size=2, in_channels=4, hidden_size=32, depth=3, num_heads=2, num_classes=5, **more
    )
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name != "pos_embed":
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return network.eval()


def inputs() -> tuple[torch.Tensor, ...]:
    return (
        torch.randn(3, 4, 8, 8, generator=torch.Generator().manual_seed(1)),
        torch.tensor([0, 500, 999]),
        torch.tensor([0, 4, 5]),
    )


@torch.no_grad()
def test_diffusers_gives_the_same_outputs_and_comes_back_unchanged():
    network = shaken()
    model = to_diffusers(network)
    z, t, y = inputs()
    torch.testing.assert_close(model(z, timestep=t, class_labels=y).sample, network(z, t, y), rtol=1e-5, atol=1e-5)
    back = from_diffusers(model)
    for name, tensor in network.state_dict().items():
        assert torch.equal(back.state_dict()[name], tensor), name


def test_blocks_with_different_embedders_are_refused():
    model = to_diffusers(shaken())
    with torch.no_grad():
        model.transformer_blocks[2].norm1.emb.timestep_embedder.linear_2.bias[0] += 1
    with pytest.raises(UserError, match=r"transformer_blocks\.2.*linear_2\.bias differs"):
        from_diffusers(model)


def test_gammas_must_be_merged_first():
    with pytest.raises(UserError, match="merge it first"):
        to_diffusers(shaken(gammas=1))


@pytest.mark.parametrize("wrap", [lambda s: s, lambda s: {"ema": s, "model": {}}, lambda s: {"model": s}])
def test_torch_files_open(tmp_path, wrap):
    network = shaken()
    torch.save(wrap(network.state_dict()), tmp_path / "a.pt")
    opened = load_dit(tmp_path / "a.pt", num_heads=2)
    assert opened.config == network.config
    assert torch.equal(opened(*inputs()), network(*inputs()))


@pytest.mark.parametrize("sites", ["reference", "residual_only"])
def test_safetensors_with_gammas_open(tmp_path, sites):
    network = shaken(gammas=2, gamma_sites=sites)
    save_file(network.state_dict(), tmp_path / "a.safetensors")
    assert load_dit(tmp_path / "a.safetensors", num_heads=2).config == network.config


class Evil:
    def __reduce__(self):
        return (print, ("ran",))


def test_bad_files_are_named_and_run_nothing(tmp_path, capsys):
    with pytest.raises(UserError, match="does not exist"):
        load_dit(tmp_path / "none.pt")
    torch.save({"model": Evil()}, tmp_path / "evil.pt")
    with pytest.raises(UserError, match=r"evil\.pt: it names '__builtin__\.print'"):
        load_dit(tmp_path / "evil.pt")
    assert "ran" not in capsys.readouterr().out
    (tmp_path / "torn.safetensors").write_bytes(b"\x08\x00")
    with pytest.raises(UserError, match="torn"):
        load_dit(tmp_path / "torn.safetensors")
    state = shaken().state_dict()
    torch.save(state, tmp_path / "a.pt")
    with pytest.raises(UserError, match="num_heads must be given"):
        load_dit(tmp_path / "a.pt")
    state.pop("blocks.1.mlp.fc1.bias")
    torch.save(state, tmp_path / "b.pt")
    with pytest.raises(UserError, match=r"blocks\.1\.mlp\.fc1\.bias"):
        load_dit(tmp_path / "b.pt", num_heads=2)


@torch.no_grad()
def test_what_is_exported_opens_in_diffusers_alone_and_comes_back(tmp_path):
    from diffusers import DDIMScheduler, DiTTransformer2DModel, LCMScheduler

    network, betas = shaken(), spoon_cosine(2)
    folder = save_diffusers(network, betas, tmp_path / "exported")
    model = DiTTransformer2DModel.from_pretrained(folder / "transformer")
    scheduler = DDIMScheduler.from_pretrained(folder / "scheduler")
    torch.testing.assert_close(scheduler.betas.double(), betas, rtol=1e-6, atol=1e-9)
    z, t, y = inputs()
    # diffusers' own constants are a little different; the documentation names the difference.
    theirs = model(z, timestep=t, class_labels=y).sample
    assert 0 < (theirs - network(z, t, y)).abs().max() < 0.5
    assert torch.equal(open_diffusers_dit(folder)(z, t, y), network(z, t, y))
    opened = load_denoiser(folder)
    torch.testing.assert_close(opened.schedule.betas, betas)
    assert not opened.origin.schedule_assumed
    assert (scheduler.config.prediction_type, opened.objective) == ("epsilon", "noise")
    assert not (save_diffusers(network, None, tmp_path / "velocity") / "scheduler").exists()
    told = save_diffusers(network, betas, tmp_path / "v", {"objective": "v_prediction"})
    assert DDIMScheduler.from_pretrained(told / "scheduler").config.prediction_type == "v_prediction"
    few = save_diffusers(network, betas, tmp_path / "few", {"objective": "v_prediction", "distilled": 2.0})
    assert LCMScheduler.from_pretrained(few / "scheduler").config.prediction_type == "v_prediction"
    assert load_denoiser(few).origin.distilled == 2.0
    (told / "model_index.json").unlink()  # as another's pipeline: the scheduler alone tells it
    assert load_denoiser(told).objective == "v_prediction"


@torch.no_grad()
def test_the_original_layout_goes_out_and_in(tmp_path):
    network = shaken()
    path = save_original(network, tmp_path / "a.safetensors")
    assert torch.equal(load_dit(path)(*inputs()), network(*inputs()))
