"""EDM on the generator's road: pixels as latents, training, adapters, resuming, generating, all by the same verbs."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from broken import run_broken
from made import picture_set
from made_edm import content_of, write
from safetensors.torch import load_file

from roadstill.adapters import DiffFit, Full, LoRA, merge
from roadstill.agents import AgentConfig
from roadstill.codecs import load_codec
from roadstill.codecs.latents import encode_imageset
from roadstill.denoisers.base import Sampling, SolverNoise
from roadstill.distil.refine import Refinement, refine
from roadstill.errors import UserError
from roadstill.generator import finetune as loop
from roadstill.generator.checkpoints import export_base, load_denoiser
from roadstill.generator.config import EDMTraining, Ema, FinetuneConfig, Labels, Minimax
from roadstill.generator.finetune import finetune
from roadstill.generator.generate import generate
from roadstill.networks.kinds import NetworkConfig, SongUNetConfig, UNet2DConfig
from roadstill.networks.songunet import SongUNet
from roadstill.runs import digest_of, plain, read_metrics

TINY = SongUNetConfig(style="ncsnpp", channels=16, channel_mult=(1, 2), num_blocks=1, attention=(4,), augment_dim=9)
OTHERS = UNet2DConfig(block_out_channels=(16, 32), layers_per_block=1, attention=(4,), norm_num_groups=8)
SCRATCH = {"network": TINY, "adapters": (Full(),), "batch_size": 8, "log_every": 2, "save_every": 2}


@pytest.fixture
def images(tmp_path):
    return picture_set(tmp_path / "images", 24, px=8)


@pytest.fixture
def latents(images, tmp_path):
    return encode_imageset(images, load_codec(Path("pixels")), tmp_path / "latents")


@pytest.fixture
def base(latents, tmp_path):
    checkpoint = finetune(
        latents, base=None, out=tmp_path / "scratch", config=FinetuneConfig(**SCRATCH, steps=4), seed=5
    )
    return export_base(checkpoint, tmp_path / "base.safetensors")


def test_pixels_as_latents_give_the_pictures_back(images, latents):
    assert latents.shape == (3, 8, 8)
    assert latents.std == 0
    codec = load_codec(Path("pixels"))
    back = ((codec.decode(latents.draw(range(24))) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()
    assert np.array_equal(back, images.pixels())


@pytest.mark.parametrize("network", [TINY, OTHERS], ids=["songunet", "unet2d"])
@pytest.mark.parametrize("precision", ["no", "bf16"])
def test_a_killed_run_equals_an_unbroken_one_bit_for_bit(latents, tmp_path, monkeypatch, precision, network):
    monkeypatch.setattr(
        "roadstill.learning.precision.has_bfloat16", lambda kind: True
    )  # slower without, but it computes
    if network is TINY:
        network = SongUNetConfig(**vars(TINY) | {"dropout": 0.2})
    config = FinetuneConfig(
        network=network, adapters=(Full(),), steps=8, batch_size=8, save_every=4,
        log_every=4, minimax=Minimax(8.0, 16.0, 16), gradient_accumulation=2, mixed_precision=precision,
        edm=EDMTraining(augment=0.5),
    )  # fmt: skip
    arguments = {"base": None, "config": config, "seed": 3}
    monkeypatch.setattr(loop, "_drop_states", lambda out: None)
    finetune(latents, out=tmp_path / "whole", **arguments)
    torch.manual_seed(99)  # the global generator must have no say
    run_broken(monkeypatch, 5, latents, out=tmp_path / "broken", **arguments)
    for name in ("trained.safetensors", "resume-0.safetensors"):
        whole, broken = load_file(tmp_path / "whole" / name), load_file(tmp_path / "broken" / name)
        assert whole.keys() == broken.keys()
        assert not [key for key in whole if not torch.equal(whole[key], broken[key])]
    assert any(key.startswith("criterion/diversity") for key in whole)
    about = json.loads((tmp_path / "whole" / "config.json").read_text())
    assert (about["objective"], about["loss_reduction"], about["augment"]) == ("denoised", "sum", 0.5)
    # Another network of the same sizes, from the record alone.
    denoiser = load_denoiser(tmp_path / "whole", which="trained")
    for name, tensor in denoiser.network.named_parameters():
        assert torch.equal(tensor, load_file(tmp_path / "whole" / "trained.safetensors")[name])


def test_training_lowers_the_loss_and_the_label_matters(latents, tmp_path):
    network = SongUNetConfig(channels=16, channel_mult=(1, 2), num_blocks=1, attention=(), patch=2)
    settings = SCRATCH | {"network": network, "steps": 150, "batch_size": 16, "log_every": 50, "save_every": 150}
    config = FinetuneConfig(**settings, learning_rate=3e-3, edm=EDMTraining(loss_reduction="mean"), ema=Ema(decay=0.95))
    out = finetune(latents, base=None, out=tmp_path / "run", config=config, seed=0)
    losses = [row["mse"] for row in read_metrics(out / "metrics.jsonl")]
    assert losses[-1] < 0.95 * losses[0]
    drawn = load_denoiser(out).generate(torch.tensor([0, 0, 1, 1]), seeds=[1, 2, 3, 4], sampling=Sampling(steps=6))
    red, blue = drawn[:, 0].mean((1, 2)), drawn[:, 2].mean((1, 2))
    assert (red - blue)[:2].mean() > (red - blue)[2:].mean() + 0.05  # class 0 is reddish, class 1 bluish


@pytest.mark.parametrize(
    "adapters", [(DiffFit(),), (LoRA(rank=2, targets=("affine", "qkv")),), (DiffFit(), LoRA(targets=("map_layer0",)))]
)
def test_adapters_carry_over_and_fold_in(latents, base, tmp_path, adapters):
    config = FinetuneConfig(
        steps=3, batch_size=4, adapters=adapters, minimax=Minimax(8.0), ema=Ema("off"), labels=Labels(dropout=0)
    )
    out = finetune(latents, base=base, out=tmp_path / "tuned", config=config, seed=0)
    tuned, plain_base = load_denoiser(out, which="trained"), load_denoiser(base)
    batch = torch.randn(2, 3, 8, 8), torch.tensor([0.1, 5.0]), torch.tensor([0, 1])
    with torch.no_grad():
        folded = merge(tuned.network)
        torch.testing.assert_close(folded(*batch), tuned.network(*batch), rtol=1e-4, atol=1e-5)
        assert not torch.equal(tuned.network(*batch), plain_base.network(*batch))
    # The frequencies are no parameters; they must be the base's, exactly, all the way.
    exported = load_denoiser(export_base(out, tmp_path / "out.safetensors", which="trained"))
    assert torch.equal(exported.network.map_noise.freqs, plain_base.network.map_noise.freqs)
    assert exported.label_dropout == 0
    torch.testing.assert_close(exported.network(*batch), folded(*batch), rtol=2e-2, atol=2e-3)


def test_lora_refuses_layers_that_also_resample(base, latents, tmp_path):
    config = FinetuneConfig(steps=1, batch_size=4, adapters=(LoRA(targets=("conv0",)),))
    with pytest.raises(UserError, match="LoRA cannot wrap all layers that end in conv0"):
        finetune(latents, base=base, out=tmp_path / "tuned", config=config, seed=0)


def test_a_pickle_of_others_is_a_base(latents, tmp_path):
    network = SongUNet(
        input_size=8, num_classes=10, channels=16, channel_mult=(1, 2), num_blocks=1, attention=(4,), augment_dim=9
    )
    path = write(tmp_path / "edm.pkl", content_of(network))
    config = FinetuneConfig(steps=2, batch_size=4, labels=Labels(rows=(3, 5), dropout=0.0))
    out = finetune(latents, base=path, out=tmp_path / "tuned", config=config, seed=0)
    assert load_denoiser(out).label_rows == (3, 5)
    assert json.loads((out / "config.json").read_text())["base"]["path"] == "../edm.pkl"
    moved = path.rename(tmp_path / "elsewhere.pkl")
    with pytest.raises(UserError, match=r"its base ../edm.pkl is missing"):
        load_denoiser(out)
    assert load_denoiser(out, base=moved).latent_shape == (3, 8, 8)


def test_a_generated_set_knows_its_classes_and_how_it_was_drawn(images, latents, base, tmp_path):
    settings = {"per_class": 2, "seed": 0}
    codec, denoiser = load_codec(Path("pixels")), load_denoiser(base)
    made = generate(denoiser, codec, config=Sampling(batch_size=3), out=tmp_path / "made", **settings)
    assert made.class_names == images.class_names
    assert (made.facts[0]["guidance"], made.facts[0]["steps"], made.facts[0]["solver"]) == (1.0, 18, "heun")
    other = generate(denoiser, codec, config=Sampling(batch_size=4), out=tmp_path / "other", **settings)
    assert np.abs(made.pixels().astype(int) - other.pixels()).max() <= 1
    begun = generate(
        denoiser, codec, config=Sampling(strength=0.2, steps=5), out=tmp_path / "begun", start=images, **settings
    )
    real = np.concatenate([images.pixels(np.flatnonzero(images.labels == label)[:2]) for label in (0, 1)])
    assert np.abs(begun.pixels() - real.astype(float)).mean() < np.abs(made.pixels() - real.astype(float)).mean()
    with pytest.raises(UserError, match="trained on latents of codec pixels"):
        generate(denoiser, load_codec(), config=Sampling(), out=tmp_path / "bad", **settings)


def test_settings_of_another_kind_are_refused(latents, base, tmp_path):
    def refused(message, **settings):
        given = None if "network" in settings else base
        with pytest.raises(UserError, match=message):
            finetune(latents, base=given, out=tmp_path / "bad", config=FinetuneConfig(**settings), seed=0)

    refused("denoised predictor has no noise schedule", schedule="cosine:2")
    refused("criteria compare clean estimates", minimax=Minimax(estimate="zt_minus_eps"))
    refused("SongUNet has no label table to renew", labels=Labels(init="mean"))
    refused("predicts denoised, not noise", objective="noise")
    refused("SongUNet predicts denoised, not velocity", **SCRATCH, objective="velocity")
    dit = NetworkConfig(hidden_size=16, depth=2, num_heads=2)
    refused(
        "loss_reduction: sum and augment are for EDM", network=dit, adapters=(Full(),), edm=EDMTraining(augment=0.5)
    )
    refused(
        "DiT predicts noise or v_prediction or velocity, not denoised",
        network=dit,
        adapters=(Full(),),
        objective="denoised",
    )


def test_what_was_recorded_before_edm_came_is_recorded_still():
    for record in (plain(FinetuneConfig()), plain(Sampling())):
        assert not {"loss_reduction", "augment", "churn", "churn_sigma", "churn_noise"} & record.keys()
    assert (plain(Sampling())["guidance"], plain(Sampling(steps=20))["steps"]) == (4.0, 20)
    assert plain(Sampling(guidance=1.0, noise=SolverNoise(churn=3.0))) | {"guidance": 1.0, "churn": 3.0} == plain(
        Sampling(guidance=1.0, noise=SolverNoise(churn=3.0))
    )
    # Digests of the settings as they were when this package made its first checkpoints.
    assert digest_of(FinetuneConfig(adapters=(DiffFit("first_half"),))) == "9e07418d9190a698"
    assert digest_of(Sampling()) == "a5947d78f48d82bf"


def test_two_processes_train_as_one(latents, by_one_and_by_two):
    code = (
        "import os, sys; from pathlib import Path\n"
        "from roadstill.generator.finetune import *; from roadstill.adapters import Full\n"
        "from roadstill.networks.kinds import SongUNetConfig\n"
        "from roadstill.codecs.latents import *\n"
        "parts = 2 // int(os.environ.get('WORLD_SIZE', 1))\n"
        "network = SongUNetConfig(channels=16, channel_mult=(1, 2), num_blocks=1, attention=(4,), dropout=0.1)\n"
        "config = FinetuneConfig(steps=3, batch_size=8, network=network, adapters=(Full(),), "
        "gradient_accumulation=parts)\n"
        "finetune(open_latents(sys.argv[1]), base=None, out=Path(sys.argv[2]), config=config, seed=0)\n"
    )
    one, two = (load_file(folder / "trained.safetensors") for folder in by_one_and_by_two(code, latents.root))
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, atol=1e-5, rtol=1e-4, msg=name)


def test_pixels_can_be_refined(tmp_path):
    real = picture_set(tmp_path / "real", 40, px=32, seed=1)
    few, codec = picture_set(tmp_path / "few", 4, px=32, seed=2), load_codec(Path("pixels"))
    agent, config = AgentConfig(network="convnet", steps=3), Refinement(steps=4, heads=4, real_batch=32)
    made = refine(few, real, codec, agent=agent, config=config, seed=0, out=tmp_path / "made")
    moved = made.pixels().astype(int) - few.pixels()
    assert np.abs(moved).max() > 1
    assert np.abs(moved).mean() < 60
