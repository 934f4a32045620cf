"""Attributes of a generator: they are learned, kept, added to and asked for, and cost nothing where there are none."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from broken import run_broken
from made import unsealed
from safetensors.torch import load_file
from weightfiles import rewritten

from roadstill.adapters import DiffFit, Full, LoRA
from roadstill.codecs.latents import open_latents
from roadstill.codecs.shards import write_latents
from roadstill.denoisers.base import Sampling
from roadstill.errors import UserError
from roadstill.generator import finetune as loop
from roadstill.generator import step as stepping
from roadstill.generator.attributes import dropped, rows_told
from roadstill.generator.checkpoints import export_base, load_denoiser
from roadstill.generator.config import Attributes, Ema, FinetuneConfig, Labels
from roadstill.generator.finetune import finetune
from roadstill.imagesets.attributes import rows_of
from roadstill.networks.kinds import NetworkConfig, SongUNetConfig
from roadstill.runs import plain

pytestmark = pytest.mark.usefixtures("trusted")

KNOWN = {"light": ("day", "night"), "weather": ("clear", "rain")}
SCRATCH = {"network": NetworkConfig(hidden_size=16, depth=2, num_heads=2), "adapters": (Full(),), "batch_size": 8}
BOTH = Attributes(names=("weather", "light"))


def store_at(folder, vocabulary=KNOWN, num=48, seed=0):
    """Latents whose first channel lies at the light's place, whatever their class; every sixth light is unknown."""
    rng = np.random.default_rng(seed)
    labels = np.arange(num) % 2
    sizes = [len(vocabulary[name]) for name in sorted(vocabulary)]
    codes = np.stack([rng.integers(0, size, num) for size in sizes], axis=1) if sizes else np.zeros((num, 0), np.int64)
    mean = 0.1 * rng.normal(size=(num, 4, 4, 4))
    if "light" in vocabulary:
        light = codes[:, sorted(vocabulary).index("light")]
        mean[:, 0] += (2.0 * light - 1)[:, None, None]
        light[::6] = -1
    shard = {"mean": torch.from_numpy(mean).half()}
    write_latents(
        folder, [(shard, 0.05)], labels, class_names=("not_brake", "brake"), shard_rows=num,
        about={"codec": "codec0"}, attributes=vocabulary, codes=codes,
    )  # fmt: skip
    return open_latents(folder)


@pytest.fixture
def latents(tmp_path):
    return store_at(tmp_path / "latents")


def trained(latents, out, **settings):
    base = settings.pop("base", None)
    config = FinetuneConfig(**({} if base else SCRATCH) | {"batch_size": 8, "steps": 3} | settings)
    return finetune(latents, base=base, out=out, config=config, seed=0)


@pytest.fixture
def base(latents, tmp_path):
    checkpoint = trained(latents, tmp_path / "scratch", attributes=BOTH)
    return export_base(checkpoint, tmp_path / "base.safetensors")


def table(path, which="ema"):
    return load_denoiser(path, which=which).network.a_embedder.weight


def test_a_store_keeps_codes_and_their_words_and_tells_their_digest(latents, tmp_path):
    assert latents.attributes == KNOWN
    assert latents.codes.shape == (48, 2)
    assert set(latents.codes[:, 0]) == {-1, 0, 1}
    plain_store = store_at(tmp_path / "plain", {})
    assert (plain_store.attributes, plain_store.codes) == ({}, None)
    assert "attributes" not in unsealed(plain_store.root / "latents.json")
    other = store_at(tmp_path / "other", KNOWN | {"light": ("dark", "day")})
    assert len({store.digest for store in (latents, plain_store, other)}) == 3


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"light": ["day", "Day"], "weather": ["clear", "rain"]}, "has both 'day' and 'Day'"),
        ({"light": [], "weather": ["clear"]}, "length >= 1"),
        ({"light": ["day", "night"], "weather": ["clear", "snow"]}, "the digests in it disagree"),
        ({"light": ["day", "night"]}, "the digests in it disagree"),
        ({"light": "day"}, "attributes"),
    ],
)
def test_a_store_with_another_vocabulary_is_refused(latents, change, says):
    path = latents.root / "latents.json"
    path.write_text(json.dumps(unsealed(path) | {"attributes": change}))
    with pytest.raises(UserError, match=rf"latents\.json.*{says}.*encode the set again"):
        open_latents(latents.root)


def test_settings_that_name_no_attributes_are_recorded_as_ever():
    told = plain(FinetuneConfig())
    assert not [name for name in told if "attribute" in name or "one_class" in name]
    told = plain(FinetuneConfig(attributes=Attributes(("light",), 0.2)))
    assert (told["attribute_names"], told["attribute_dropout"]) == (["light"], 0.2)


def test_without_them_nothing_changes_to_the_bit(latents, tmp_path):
    """Kept with the latents or not, learned with no share or not: weights that all samples share are the same."""
    bare = replace(latents, attributes={}, codes=None)
    nothing = Attributes(("light",), dropout=1.0)
    runs = {"with": (latents, Attributes()), "without": (bare, Attributes()), "dropped": (latents, nothing)}
    found = {}
    for name, (store, attributes) in runs.items():
        found[name] = load_file(trained(store, tmp_path / name, attributes=attributes) / "trained.safetensors")
    assert found["with"].keys() == found["without"].keys() == found["dropped"].keys() - {
        "a_embedder.weight", "ema/a_embedder.weight"
    }  # fmt: skip
    for name in found["with"]:
        assert all(torch.equal(found["with"][name], found[other][name]) for other in runs), name
    assert not found["dropped"]["a_embedder.weight"].any()
    records = [unsealed(tmp_path / name / "config.json") for name in ("with", "without")]
    assert not [key for record in records for key in (*record, *record["network"]) if "attribute" in key]


def test_a_table_at_zero_changes_no_bit_of_what_is_drawn(latents, base, tmp_path):
    plain_base = export_base(trained(latents, tmp_path / "none"), tmp_path / "none.safetensors")
    new = trained(latents, tmp_path / "new", base=plain_base, attributes=BOTH, learning_rate=0.0)
    sampling, label = Sampling(steps=3), torch.tensor([0, 1])
    wanted = load_denoiser(plain_base).generate(label, seeds=[1, 2], sampling=sampling)
    rows = torch.tensor([[0, 0, 2], [1, 1, -1]])
    for asked in (label, rows):
        assert torch.equal(load_denoiser(new).generate(asked, seeds=[1, 2], sampling=sampling), wanted)
    # One that has learned is the same only where nothing is asked.
    rows_of_none = torch.tensor([[0, -1, -1], [1, -1, -1]])
    learned = load_denoiser(base)
    with torch.no_grad():
        learned.network.a_embedder.weight.normal_()
        for name, weight in learned.network.named_parameters():
            if "adaLN" in name or "final" in name:
                weight.normal_(std=0.1)
    drawn = [learned.generate(asked, seeds=[1, 2], sampling=sampling) for asked in (label, rows_of_none, rows)]
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def drawn_mean(path, label, light):
    """Mean of the channel that shows the light, of 16 latents."""
    row = -1 if light is None else rows_of(load_denoiser(path).origin.attributes)["light", light]
    asked = torch.tensor([[label, row]] * 16)
    made = load_denoiser(path).generate(asked, seeds=range(16), sampling=Sampling(guidance=1.5, steps=8))
    return float(made[:, 0].mean())


def test_what_is_asked_is_what_is_drawn_and_a_base_without_labels_takes_them_later(latents, tmp_path):
    """The thesis' situation: the base knows towns, lights and weathers, and sees brake and not brake afterwards."""
    settings = {"steps": 220, "batch_size": 32, "learning_rate": 5e-3, "objective": "velocity", "ema": Ema(decay=0.95)}
    checkpoint = trained(
        latents, tmp_path / "drive", attributes=Attributes(("light",)), labels=Labels(one_class="drive"), **settings
    )
    base = export_base(checkpoint, tmp_path / "drive.safetensors")
    found = load_denoiser(base)
    assert found.origin.class_names == ("drive",)
    assert found.num_classes == 1
    assert found.origin.attributes == {"light": ("day", "night")}
    assert drawn_mean(base, 0, "day") < -0.5
    assert drawn_mean(base, 0, "night") > 0.5
    # Two classes do not fit into its table; new rows start at the one that it has.
    with pytest.raises(UserError, match=r"labels\.init: mean"):
        trained(latents, tmp_path / "no", base=base)
    mean = Labels(init="mean")
    tuned = trained(latents, tmp_path / "tuned", base=base, labels=mean, attributes=Attributes(("light",)))
    assert load_denoiser(tuned).origin.class_names == ("not_brake", "brake")
    assert load_denoiser(tuned).network.y_embedder.embedding_table.weight.shape == (3, 16)
    for label in (0, 1):
        assert drawn_mean(tuned, label, "day") < -0.5
        assert drawn_mean(tuned, label, "night") > 0.5
    # One that is tuned without attributes can still be asked for those of its base.
    silent = trained(latents, tmp_path / "silent", base=base, labels=mean)
    assert torch.equal(table(silent), table(base))
    assert drawn_mean(silent, 1, "night") > 0.5


@pytest.mark.parametrize("adapters", [(DiffFit(),), (LoRA(rank=2),), (DiffFit(), LoRA(rank=2)), (Full(),)])
def test_a_checkpoint_opens_and_exports_as_it_was_trained(latents, base, tmp_path, adapters):
    settings = {"adapters": adapters, "ema": Ema("reference", 0.5), "learning_rate": 0.05}
    out = trained(latents, tmp_path / "run", base=base, attributes=BOTH, **settings)
    stored = load_file(out / "trained.safetensors")
    assert torch.equal(table(out, "trained"), stored["a_embedder.weight"])
    assert torch.equal(table(out), stored["ema/a_embedder.weight"])
    assert not torch.equal(table(out), table(base))
    found = load_denoiser(out)
    assert found.origin.attributes == KNOWN
    alone = load_denoiser(export_base(out, tmp_path / "alone.safetensors"))
    assert alone.origin.attributes == KNOWN
    z, t, y = torch.randn(2, 4, 4, 4), torch.tensor([3, 500]), torch.tensor([[0, 1, 3], [1, 0, -1]])
    torch.testing.assert_close(alone.network(z, t, y), found.network(z, t, y), atol=5e-3, rtol=5e-3)


def test_a_table_learns_only_if_settings_name_attributes(latents, base, tmp_path):
    out = trained(latents, tmp_path / "run", base=base, adapters=(Full(),), weight_decay=0.1)
    assert "a_embedder.weight" not in load_file(out / "trained.safetensors")
    assert torch.equal(table(out), table(base))


def test_what_is_left_out_is_drawn_anew_in_every_step_and_part(latents, tmp_path, monkeypatch):
    keys = []
    monkeypatch.setattr(stepping, "dropped", lambda rows, config, *key: keys.append(key) or dropped(rows, config, *key))
    trained(latents, tmp_path / "run", attributes=BOTH, gradient_accumulation=2, steps=2)
    assert keys == [(0, 0, 0), (0, 0, 1), (0, 1, 0), (0, 1, 1)]


def test_new_values_start_at_zero_and_known_ones_keep_their_vectors(base, tmp_path):
    more = store_at(tmp_path / "more", {"cause": ("lead", "red_light"), "light": ("dawn", "night")})
    settings = {"attributes": Attributes(("light", "cause")), "learning_rate": 0.0}
    out = trained(more, tmp_path / "run", base=base, **settings)
    both = load_denoiser(out).origin.attributes
    wanted = {"cause": ("lead", "red_light"), "light": ("day", "night", "dawn"), "weather": ("clear", "rain")}
    assert both == wanted
    old, new = table(base), table(out)
    for pair, row in rows_of(both).items():
        expected = old[rows_of(KNOWN)[pair]] if pair in rows_of(KNOWN) else torch.zeros(16)
        assert torch.equal(new[row], expected), pair
    # And a third one on top of that.
    again = trained(store_at(tmp_path / "third"), tmp_path / "again", base=out, **settings | {"attributes": BOTH})
    assert load_denoiser(again).origin.attributes == wanted
    assert torch.equal(table(again), new)


def test_attributes_that_cannot_be_learned(latents, base, tmp_path):
    bare = store_at(tmp_path / "bare", {})
    with pytest.raises(
        UserError, match=r"asks for 'weather', but the latents .*bare keep no attributes; encode .*again"
    ):
        trained(bare, tmp_path / "run", attributes=BOTH)
    with pytest.raises(UserError, match=r"asks for 'town', but .* keep light: day, night; .* --attributes town"):
        trained(latents, tmp_path / "run", attributes=Attributes(("town",)))
    capitals = store_at(tmp_path / "capitals", {"light": ("Day", "night")})
    with pytest.raises(UserError, match=r"capitals: attribute 'light' has both 'day' and 'Day'"):
        trained(capitals, tmp_path / "run", base=base, attributes=Attributes(("light",)))
    unet = SongUNetConfig(channels=8, channel_mult=(1,), num_blocks=1, attention=())
    with pytest.raises(UserError, match="SongUNet is told no attributes"):
        trained(latents, tmp_path / "run", attributes=BOTH, network=unet)
    with pytest.raises(UserError, match=r"attributes\.dropout is 2"):
        Attributes(("light",), 2.0)


def test_rows_of_a_batch_and_what_is_left_out_of_them(latents):
    rows = rows_told(latents, ("weather", "light"), KNOWN)
    assert rows.tolist()[1] == [2 + latents.codes[1, 1], latents.codes[1, 0]]
    assert set(rows[::6, 1].tolist()) == {-1}
    assert rows_told(latents, (), KNOWN) is None
    many = torch.tensor([[0, 2]]).repeat(20_000, 1)
    lost = dropped(many, Attributes(("light", "weather"), 0.2, 0.1), 7, 3, 0) < 0
    assert torch.equal(lost, dropped(many, Attributes(("light", "weather"), 0.2, 0.1), 7, 3, 0) < 0)
    assert lost.float().mean(0).tolist() == pytest.approx([0.28, 0.28], abs=0.01)  # 1 - 0.9 x 0.8
    assert float(lost.all(1).float().mean()) == pytest.approx(0.1 + 0.9 * 0.04, abs=0.01)
    assert torch.equal(dropped(many, Attributes(("light", "weather"), 0.0, 0.0), 7, 3, 0), many)


def test_a_sample_that_loses_its_class_loses_its_attributes(latents, tmp_path, monkeypatch):
    denoiser = load_denoiser(trained(latents, tmp_path / "run", attributes=BOTH))
    denoiser.label_dropout, kept = 0.5, []
    monkeypatch.setattr(denoiser, "estimate_given", lambda clean, rows, **_: kept.append(rows))
    denoiser.network.train()
    asked = torch.tensor([[1, 0, 3]]).repeat(200, 1)
    denoiser.estimate(torch.zeros(200, 4, 4, 4), asked, generator=torch.Generator().manual_seed(0))
    assert {tuple(row) for row in kept[0].tolist()} == {(1, 0, 3), (2, -1, -1)}


def test_guidance_pushes_away_from_pictures_without_class_and_attributes(base):
    denoiser, generator = load_denoiser(base), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in denoiser.network.parameters():
            weight.normal_(std=0.2, generator=generator)
    x, t = torch.randn(2, 4, 4, 4, generator=generator), torch.tensor([9, 600])
    asked = torch.tensor([[0, 1, 3], [1, 0, -1]])

    def told(rows, guidance):
        return denoiser.guided(x, t, rows, guidance)[0]

    with torch.no_grad():
        without, full = told(torch.tensor([2, 2]), 1.0), told(asked, 1.0)
        torch.testing.assert_close(told(asked, 0.0), without)
        torch.testing.assert_close(told(asked, 3.0), without + 3 * (full - without))
    assert not torch.allclose(full, without)


def test_rows_beyond_the_table_are_refused(base):
    with pytest.raises(UserError, match="attributes are asked for beyond the 4 rows"):
        load_denoiser(base).generate(torch.tensor([[0, 4]]), seeds=[1])


def test_a_killed_run_with_attributes_equals_an_unbroken_one(latents, base, tmp_path, monkeypatch):
    config = FinetuneConfig(
        steps=12, batch_size=8, save_every=4, gradient_accumulation=2, attributes=BOTH, weight_decay=0.01,
        adapters=(DiffFit(), LoRA(rank=2)),
    )  # fmt: skip
    arguments = {"base": base, "config": config, "seed": 3}
    monkeypatch.setattr(loop, "_drop_states", lambda out: None)
    finetune(latents, out=tmp_path / "whole", **arguments)
    torch.manual_seed(99)
    run_broken(monkeypatch, 6, latents, out=tmp_path / "broken", **arguments)
    for name in ("trained.safetensors", "resume-0.safetensors"):
        whole, broken = load_file(tmp_path / "whole" / name), load_file(tmp_path / "broken" / name)
        assert whole.keys() == broken.keys()
        assert not [key for key in whole if not torch.equal(whole[key], broken[key])], name
    assert any("a_embedder" in key for key in whole)


def test_records_that_disagree_with_their_table_are_refused(base, tmp_path):
    copy = tmp_path / "copy.safetensors"
    for change, says in (
        (lambda about: about.pop("attributes") and None, "0 attributes' values for 4 rows"),
        (lambda about: about.update(attributes={"light": ["day"]}), "1 attributes' values for 4 rows"),
        (lambda about: about["network"].update(attributes=3), r"shape 4 x 16, not 3 x 16"),
        (lambda about: about["network"].pop("attributes") and None, r"unexpected.*a_embedder\.weight"),
        (lambda about: about.update(attributes={"..": ["day"]}), "cannot name a folder"),
    ):
        copy.write_bytes(base.read_bytes())
        rewritten(copy, about=change)
        with pytest.raises(UserError, match=says):
            load_denoiser(copy)
