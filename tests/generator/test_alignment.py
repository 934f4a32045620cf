"""Alignment with a classifier's features: a term in training, nothing in what is kept."""

import numpy as np
import pytest
import torch
from broken import run_broken
from made import picture_set
from safetensors.torch import load_file

from roadstill.adapters import Full
from roadstill.agents import AgentConfig, train_agent
from roadstill.agents.grids import GridFeatures
from roadstill.codecs.latents import encode_imageset, open_latents
from roadstill.codecs.pixels import PixelCodec
from roadstill.codecs.shards import write_latents
from roadstill.errors import UserError
from roadstill.generator import finetune as loop
from roadstill.generator.alignment import Alignment as Term
from roadstill.generator.checkpoints import load_denoiser
from roadstill.generator.config import Alignment, FinetuneConfig
from roadstill.generator.finetune import finetune
from roadstill.networks.dit import DiT
from roadstill.networks.kinds import NetworkConfig, UNet2DConfig
from roadstill.runs import read_metrics

TINY = NetworkConfig(hidden_size=16, depth=2, num_heads=2)
SCRATCH = {"network": TINY, "adapters": (Full(),), "batch_size": 8, "log_every": 5, "save_every": 5, "steps": 20}


@pytest.fixture
def latents(tmp_path):
    """Latents whose features are their own first channels."""
    rng = np.random.default_rng(0)
    labels = np.arange(24) % 2
    mean = torch.from_numpy(rng.normal(size=(24, 4, 4, 4)) + (2 * labels[:, None, None, None] - 1)).half()
    shard = {"mean": mean, "features": torch.nn.functional.avg_pool2d(mean.float(), 2)[:, :3].half()}
    write_latents(tmp_path / "latents", [(shard, 0.1)], labels.astype(np.int64), class_names=("a", "b"),
                  shard_rows=24, about={"codec": "codec0"})  # fmt: skip
    return open_latents(tmp_path / "latents")


def test_the_features_of_each_picture_are_kept_with_its_latents(tmp_path):
    images = picture_set(tmp_path / "set", 7, px=64)
    agent = train_agent(images, config=AgentConfig(network="convnet", steps=1), seed=0)
    store = encode_imageset(images, PixelCodec(), tmp_path / "kept", batch_size=2, shard_bytes=3 * 2 * 3 * 64 * 64,
                            align=GridFeatures(agent))  # fmt: skip
    assert store.num_shards == 3
    assert store.features[1:] == (4, 4)
    wanted = GridFeatures(agent).of(images.pixels([5, 0]))
    torch.testing.assert_close(store.kept_features([5, 0]), wanted, rtol=2e-3, atol=2e-3)
    plain = encode_imageset(images, PixelCodec(), tmp_path / "plain")
    assert plain.features is None
    assert plain.digest != store.digest
    with pytest.raises(UserError, match="encode the set with --align"):
        plain.kept_features([0])


def test_the_term_is_the_cosine_to_the_normalised_features(latents):
    network = DiT(input_size=4, patch_size=2, in_channels=4, hidden_size=16, depth=2, num_heads=2, num_classes=2)
    term = Term(network, latents, FinetuneConfig(**SCRATCH, alignment=Alignment(0.5, 1)), seed=0)
    network(torch.randn(3, 4, 4, 4), torch.zeros(3), torch.zeros(3, dtype=torch.long))
    rows, features = np.array([4, 1, 9]), latents.kept_features(range(24))
    middle = features.mean((0, 2, 3)).view(-1, 1, 1)
    spread = features.transpose(0, 1).flatten(1).std(1).view(-1, 1, 1)
    wanted = ((features[rows] - middle) / spread).flatten(2).transpose(1, 2)
    found = term.projector(term._tokens).detach()
    cosine = (found * wanted).sum(2) / found.norm(dim=2) / wanted.norm(dim=2)
    assert float(term.term(rows).detach()) == pytest.approx(0.5 * float((1 - cosine).mean()), abs=1e-5)
    term.projector = lambda tokens: wanted
    assert float(term.term(rows).detach()) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("optimiser", ["adamw", "muon"])
def test_it_is_learnt_resumes_and_is_not_kept(latents, tmp_path, monkeypatch, optimiser):
    config = FinetuneConfig(**SCRATCH, alignment=Alignment(0.5, 1), optimiser=optimiser)
    monkeypatch.setattr(loop, "_drop_states", lambda out: None)
    finetune(latents, base=None, out=tmp_path / "whole", config=config, seed=0)
    run_broken(monkeypatch, 11, latents, base=None, out=tmp_path / "broken", config=config, seed=0)
    for name in ("trained.safetensors", "resume-0.safetensors"):
        whole, broken = load_file(tmp_path / "whole" / name), load_file(tmp_path / "broken" / name)
        assert all(torch.equal(whole[key], broken[key]) for key in whole)
    assert any("alignment/" in key for key in whole)
    terms = [row["alignment"] for row in read_metrics(tmp_path / "whole" / "metrics.jsonl")]
    assert terms[-1] < terms[0]
    kept = load_file(tmp_path / "whole" / "trained.safetensors")
    assert not any("alignment" in key or "projector" in key for key in kept)
    load_denoiser(tmp_path / "whole")


def test_mistakes_are_named(latents, tmp_path):
    with pytest.raises(UserError, match=r"alignment\.block is 3; this DiT has blocks 1 to 2"):
        finetune(latents, base=None, out=tmp_path / "a", seed=0,
                 config=FinetuneConfig(**SCRATCH, alignment=Alignment(0.5, 3)))  # fmt: skip
    unet = UNet2DConfig(block_out_channels=(8, 8), layers_per_block=1, attention=(), norm_num_groups=4)
    with pytest.raises(UserError, match="alignment is for a DiT"):
        finetune(latents, base=None, out=tmp_path / "b", seed=0,
                 config=FinetuneConfig(**SCRATCH | {"network": unet}, alignment=Alignment(0.5, 1)))  # fmt: skip
