"""Generation: one picture per seed whatever the batch, and a record of how each was drawn."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from roadstill.codecs import CodecConfig, SmallCodec, from_pixels
from roadstill.denoisers.base import Origin, Sampling
from roadstill.denoisers.dit import DiTDenoiser
from roadstill.errors import UserError
from roadstill.generator import drawing
from roadstill.generator.attributes import renew_attributes
from roadstill.generator.checkpoints import load_denoiser
from roadstill.generator.generate import generate
from roadstill.imagesets import ImageSetWriter, open_imageset
from roadstill.networks.dit import DiT
from roadstill.runs import seed_of
from roadstill.schedules import linear, spoon_cosine


@pytest.fixture
def denoiser():
    network = DiT(
        input_size=4, patch_size=2, in_channels=4, hidden_size=16, depth=2, num_heads=2, num_classes=3, seed=1
    )
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():  # a fresh DiT predicts zero, and its label would change nothing
        for parameter in network.parameters():
            if parameter.requires_grad:
                parameter.normal_(std=0.2, generator=generator)
    return DiTDenoiser(network, linear(), guided_channels=None)


@pytest.fixture
def codec():
    with torch.random.fork_rng():
        torch.manual_seed(3)
        codec = SmallCodec(CodecConfig(latent_channels=4, width=16, encoder_blocks=(1, 1, 1), decoder_blocks=(1, 1, 1)))
    return codec.eval().requires_grad_(False)


def draw(denoiser, codec, out, **changes):
    settings = {"per_class": 5, "seed": 7, "class_names": ("not_brake", "brake")} | changes
    names = {field.name for field in dataclasses.fields(Sampling)} - {"teacher"}
    sampling = {"steps": 6} | {name: settings.pop(name) for name in names & settings.keys()}
    return generate(denoiser, codec, out=out, config=Sampling(**sampling), **settings)


def test_what_pictures_stem_from_is_recorded(denoiser, codec, tmp_path):
    assert draw(denoiser, codec, tmp_path / "memory").about["sources"] == ["unrecorded"]
    denoiser.origin = dataclasses.replace(denoiser.origin, sources=("navsim", "dit-weights"))
    codec.sources = ("autoencoder-weights",)
    made = draw(denoiser, codec, tmp_path / "made")
    assert made.about["sources"] == ["autoencoder-weights", "dit-weights", "navsim"]
    with ImageSetWriter(tmp_path / "start", ("not_brake", "brake"), 32) as writer:
        for label in range(2):
            writer.add(np.zeros((32, 32, 3), np.uint8), label, {})
        writer.about["synthetic"] = True
    begun = draw(denoiser, codec, tmp_path / "begun", start=open_imageset(tmp_path / "start"))
    assert begun.about["sources"] == ["autoencoder-weights", "dit-weights", "navsim", "world"]


@pytest.mark.parametrize("solver", ["ddpm", "ddim", "dpm"])
def test_a_picture_does_not_depend_on_its_batch(denoiser, codec, tmp_path, solver):
    sets = [draw(denoiser, codec, tmp_path / str(size), batch_size=size, solver=solver) for size in (1, 4, 16)]
    pixels = [found.pixels().astype(int) for found in sets]
    assert np.abs(pixels[0] - pixels[1]).max() <= 1
    assert np.abs(pixels[0] - pixels[2]).max() <= 1
    # Different pictures differ by far more, or the test would say nothing.
    assert np.abs(pixels[0][0] - pixels[0][1]).max() > 10
    assert np.abs(pixels[0][0] - pixels[0][5]).max() > 10


def test_more_pictures_leave_the_first_ones_as_they_were(denoiser, codec, tmp_path):
    few, more = (draw(denoiser, codec, tmp_path / str(n), per_class=n) for n in (2, 6))
    assert np.abs(few.pixels([0, 1]).astype(int) - more.pixels([0, 1])).max() <= 1
    assert np.abs(few.pixels([2, 3]).astype(int) - more.pixels([6, 7])).max() <= 1


def test_the_same_call_writes_the_same_bytes_and_another_seed_others(denoiser, codec, tmp_path):
    one, same, other = (draw(denoiser, codec, tmp_path / name, seed=s) for name, s in (("a", 1), ("b", 1), ("c", 2)))
    assert one.digest == same.digest != other.digest


def test_every_picture_records_how_it_was_drawn(denoiser, codec, tmp_path):
    found = draw(denoiser, codec, tmp_path / "set", label_rows=(2, 0), per_class=3)
    assert found.counts() == {"not_brake": 3, "brake": 3}
    assert found.size_px == 32
    fact = found.facts[4]
    assert (fact["label"], fact["index"], fact["row"]) == (1, 1, 0)
    assert fact["seed"] == seed_of("generate", 7, 1, 1)
    assert (fact["guidance"], fact["solver"], fact["steps"]) == (4.0, "ddpm", 6)
    assert {"checkpoint", "digest"} <= set(fact)
    assert found.about["method"] == "generated"


def test_label_rows_reach_the_network(denoiser, codec, tmp_path):
    plain = draw(denoiser, codec, tmp_path / "plain", per_class=1)
    moved = draw(denoiser, codec, tmp_path / "moved", per_class=1, label_rows=(0, 2))
    assert np.array_equal(plain.pixels([0]), moved.pixels([0]))
    assert not np.array_equal(plain.pixels([1]), moved.pixels([1]))


@pytest.fixture
def real(tmp_path):
    rng = np.random.default_rng(5)
    with ImageSetWriter(tmp_path / "real", ("not_brake", "brake"), 32) as writer:
        for label, tokens in ((1, "ab"), (0, "cde")):
            for token in tokens:
                # Large patches: a codec hands on large shapes best.
                picture = rng.integers(0, 256, (2, 2, 3), np.uint8).repeat(16, 0).repeat(16, 1)
                writer.add(picture, label, {"token": token})
    return open_imageset(tmp_path / "real")


def latents_of(found, codec):
    return codec.encode(from_pixels(torch.from_numpy(found.pixels()))).mean


def test_start_pictures_shape_the_result_the_less_the_stronger(denoiser, codec, real, tmp_path):
    # The latents themselves, as the random codec's decoder does not invert its encoder.
    clean = latents_of(real, codec)[:2]
    far = []
    for strength in (0.2, 0.5, 1.0):
        made = denoiser.generate(
            torch.tensor([1, 1]),
            seeds=[1, 2],
            sampling=Sampling(guidance=1.0, steps=10, solver="ddim", strength=strength),
            start=clean,
        )
        far.append(float((made - clean).square().mean()))
    assert far[0] < far[1] < far[2]


def test_start_pictures_take_turns_and_are_recorded(denoiser, codec, real, tmp_path):
    found = draw(denoiser, codec, tmp_path / "set", start=real, per_class=3, strength=0.4)
    assert [fact["start"] for fact in found.facts] == ["c", "d", "e", "a", "b", "a"]
    assert {fact["strength"] for fact in found.facts} == {0.4}
    assert found.about["start"] == real.digest
    alone = draw(denoiser, codec, tmp_path / "alone", start=real, per_class=3, strength=0.4, batch_size=1)
    assert np.abs(found.pixels().astype(int) - alone.pixels()).max() <= 1
    # The third brake picture starts where the first does, from other noise.
    assert not np.array_equal(found.pixels([3]), found.pixels([5]))


def test_start_pictures_that_do_not_fit_are_refused(denoiser, codec, real, tmp_path):
    with pytest.raises(UserError, match=r"real has the classes \[not_brake, brake\], but .* \[a, b\]"):
        draw(denoiser, codec, tmp_path / "set", start=real, class_names=("a", "b"))
    with pytest.raises(UserError, match="class 'brake' has no picture"):
        draw(denoiser, codec, tmp_path / "set", start=real.subset([2, 3]))
    with ImageSetWriter(tmp_path / "large", ("not_brake", "brake"), 64) as writer:
        for label in (0, 1):
            writer.add(np.zeros((64, 64, 3), np.uint8), label, {})
    with pytest.raises(UserError, match="start latents are"):
        draw(denoiser, codec, tmp_path / "set", start=open_imageset(tmp_path / "large"))
    with pytest.raises(UserError, match="strength is 0"):
        draw(denoiser, codec, tmp_path / "set", start=real, strength=0.0)


def test_the_class_mean_shines_through_the_end_of_a_spoon_cosine_chain(denoiser, codec, tmp_path):
    spoon = DiTDenoiser(denoiser.network, spoon_cosine(2), guided_channels=None)
    means = torch.stack([torch.full((4, 4, 4), value) for value in (-50.0, 50.0)])
    spoon.origin = Origin(class_mean=means)
    seen = []
    walk = spoon.generate
    spoon.generate = lambda label, **more: seen.append(more["start"]) or walk(label, **more)
    plain, begun = (draw(spoon, codec, tmp_path / str(on), from_class_mean=on) for on in (False, True))
    assert seen[0] is None
    assert torch.equal(seen[1][[0, 9]], means)
    assert (begun.pixels() != plain.pixels()).any((1, 2, 3)).all()
    with pytest.raises(UserError, match="does not know its classes' mean latents"):
        draw(denoiser, codec, tmp_path / "none", from_class_mean=True)
    with pytest.raises(UserError, match="cannot be combined with start images"):
        draw(spoon, codec, tmp_path / "two", from_class_mean=True, start=begun)


def test_another_schedule_than_the_trained_one_must_be_forced(denoiser, codec, tmp_path):
    plain = draw(denoiser, codec, tmp_path / "plain")
    assert draw(denoiser, codec, tmp_path / "named", schedule="linear").digest == plain.digest
    with pytest.raises(UserError, match="trained with other betas than spoon_cosine:2"):
        draw(denoiser, codec, tmp_path / "spoon", schedule="spoon_cosine:2")
    forced = draw(denoiser, codec, tmp_path / "spoon", schedule="spoon_cosine:2", force_schedule=True)
    assert forced.digest != plain.digest
    assert forced.facts[0]["betas"] != plain.facts[0]["betas"]
    denoiser.origin = Origin(schedule_assumed=True)  # as of a file in the original layout
    assert draw(denoiser, codec, tmp_path / "said", schedule="spoon_cosine:2").digest == forced.digest
    with pytest.raises(UserError, match="cannot be sampled from"):
        draw(denoiser, codec, tmp_path / "moving", schedule="progressive:thesis")


class Brightness:
    """A teacher that calls bright pictures brake."""

    class_names, digest = ("not_brake", "brake"), "brightness"

    def logits(self, pictures):
        level = 20 * (pictures.mean((1, 2, 3)) - 0.5)
        return torch.stack([-level, level], 1)


def test_a_teacher_leads_each_class_to_what_it_knows(denoiser, codec, tmp_path):
    plain, led, alone = (
        draw(denoiser, codec, tmp_path / name, **more)
        for name, more in (
            ("plain", {}),
            ("led", {"teacher": Brightness()}),
            ("alone", {"teacher": Brightness(), "batch_size": 1}),
        )
    )
    gain = (led.pixels().astype(float) - plain.pixels()).mean((1, 2, 3))
    assert gain[:5].max() < 0 < gain[5:].min()
    assert np.abs(led.pixels().astype(int) - alone.pixels()).max() <= 1
    assert led.about["teacher"] == "brightness"
    assert (led.facts[0]["teacher"], led.facts[0]["teacher_guidance"]) == ("brightness", 0.2)
    assert "teacher" not in plain.facts[0]


def test_a_teacher_of_other_classes_is_refused(denoiser, codec, tmp_path):
    with pytest.raises(UserError, match=r"the teacher has the classes \[not_brake, brake\], but .* \[a, b\]"):
        draw(denoiser, codec, tmp_path / "set", class_names=("a", "b"), teacher=Brightness())


def test_mistakes_are_named(denoiser, codec, tmp_path):
    for changes, message in (
        ({"class_names": None}, "class names"),
        ({"per_class": 0}, "per_class is 0"),
        ({"label_rows": (0,)}, "1 label_rows for 2 classes"),
    ):
        with pytest.raises(UserError, match=message):
            draw(denoiser, codec, tmp_path / "set", **changes)
    denoiser.origin, codec.digest = Origin(codec="aaaa"), "bbbb"
    with pytest.raises(UserError, match="codec aaaa"):
        draw(denoiser, codec, tmp_path / "set")
    assert not (tmp_path / "set").exists()


def test_a_stopped_run_goes_on_to_the_same_bytes(denoiser, codec, tmp_path, monkeypatch):
    denoiser.origin = Origin(digest="known")
    whole = draw(denoiser, codec, tmp_path / "whole", batch_size=3)
    walk, drawn = denoiser.generate, []

    def stop(label, **settings):
        drawn.append(len(label))
        if len(drawn) == 3:
            raise KeyboardInterrupt
        return walk(label, **settings)

    monkeypatch.setattr(denoiser, "generate", stop)
    with pytest.raises(KeyboardInterrupt):
        draw(denoiser, codec, tmp_path / "broken", batch_size=3)
    assert not (tmp_path / "broken").exists()
    broken = draw(denoiser, codec, tmp_path / "broken", batch_size=3)
    assert drawn == [3, 3, 3, 3, 1]  # ten pictures in four batches: two before, the third again, the fourth
    assert broken.digest == whole.digest
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken", "whole"]


def test_a_run_that_was_killed_before_its_key_was_written_begins_anew(denoiser, codec, tmp_path):
    denoiser.origin = Origin(digest="known")
    whole = draw(denoiser, codec, tmp_path / "whole")
    (tmp_path / ".set.unfinished").mkdir()
    (tmp_path / ".set.unfinished" / "0-0.png").write_bytes(b"of other settings")
    (tmp_path / "..set.unfinished.12345678.part").mkdir()  # that of one that was killed while it removed its pictures
    assert draw(denoiser, codec, tmp_path / "set").digest == whole.digest
    assert sorted(path.name for path in tmp_path.iterdir()) == ["set", "whole"]


def test_what_another_run_left_is_not_taken(denoiser, codec, tmp_path, monkeypatch):
    denoiser.origin = Origin(digest="known")
    whole = draw(denoiser, codec, tmp_path / "whole", seed=2)
    monkeypatch.setattr(drawing, "ImageSetWriter", lambda *words: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        draw(denoiser, codec, tmp_path / "set", seed=1)
    monkeypatch.undo()
    assert draw(denoiser, codec, tmp_path / "set", seed=2).digest == whole.digest


@pytest.mark.parametrize("what", ["latent", "picture"])
def test_a_picture_that_is_not_finite_is_refused_and_nothing_is_written(denoiser, codec, tmp_path, monkeypatch, what):
    if what == "latent":
        make = denoiser.generate
        monkeypatch.setattr(
            denoiser, "generate", lambda *a, **k: make(*a, **k) * torch.tensor([1, float("inf")])[:, None, None, None]
        )
    else:
        codec.std[1] = float("nan")
    with pytest.raises(UserError, match=f"^{what} {1 if what == 'latent' else 0} of class 'not_brake' is not finite"):
        draw(denoiser, codec, tmp_path / "set", batch_size=2, per_class=2)
    assert list(tmp_path.iterdir()) == []


def test_class_names_are_those_of_the_generator(denoiser, codec, tmp_path):
    denoiser.origin = Origin(class_names=("not_brake", "brake"))
    with pytest.raises(UserError, match=r"in another order: 'brake' would take .*; give label_rows \[1, 0\]"):
        draw(denoiser, codec, tmp_path / "set", class_names=("brake", "not_brake"))
    with pytest.raises(UserError, match="class_names names the class 'cat', but the generator knows"):
        draw(denoiser, codec, tmp_path / "set", class_names=("cat", "dog"))
    turned = draw(denoiser, codec, tmp_path / "turned", class_names=("brake", "not_brake"), label_rows=(1, 0))
    told = draw(denoiser, codec, tmp_path / "told", class_names=None)
    renamed = draw(denoiser, codec, tmp_path / "renamed", class_names=("cat", "dog"), label_rows=(0, 1))
    alone = draw(denoiser, codec, tmp_path / "alone", class_names=("not_brake",))
    assert told.class_names == ("not_brake", "brake")
    np.testing.assert_array_equal(renamed.pixels(), told.pixels())
    apart = np.abs(alone.pixels().astype(int) - told.pixels()[:5])
    assert apart.max() <= 1  # a batch of another size is rounded in another way
    assert apart.mean() < 1e-3
    assert turned.facts[0]["row"] == 1


def test_rows_that_the_generator_does_not_have_are_refused(denoiser, codec, tmp_path):
    for rows in ((0, 3), (0, -1)):
        with pytest.raises(UserError, match="rows 0 to 2"):
            draw(denoiser, codec, tmp_path / "set", label_rows=rows)


def test_two_processes_draw_what_one_draws(by_one_and_by_two):
    one, two = by_one_and_by_two(
        "import sys; from pathlib import Path\n"
        "from roadstill.generator.generate import *; from roadstill.generator.checkpoints import load_denoiser\n"
        "from roadstill.codecs import load_codec; from roadstill.denoisers.base import Sampling\n"
        "from roadstill.sources.cifar10.batch import CLASS_NAMES\n"
        "generate(load_denoiser(Path('roadstill/edm-cifar10')), load_codec(Path('pixels')), "
        "class_names=CLASS_NAMES, per_class=1, seed=1, config=Sampling(steps=2, batch_size=2), out=Path(sys.argv[1]))\n"
        "import torch.distributed as group\n"
        "group.is_initialized() and group.destroy_process_group()\n"
    )
    assert open_imageset(one).digest == open_imageset(two).digest


def test_the_edm_of_the_package_knows_its_classes():
    denoiser = load_denoiser(Path("roadstill/edm-cifar10"))
    assert denoiser.origin.class_names[8] == "ship"
    label = torch.tensor([0, 8, 4, 6]).repeat_interleave(6)  # in the air and on water; deer and frogs
    pictures = denoiser.generate(label, seeds=list(range(6)) * 4, sampling=Sampling(steps=6))
    assert pictures.shape == (24, 3, 32, 32)
    airplane, ship, deer, frog = (pictures[:, 2] - pictures[:, 0]).mean((1, 2)).view(4, 6).mean(1)
    assert min(airplane, ship) > max(deer, frog) + 0.1


def test_pictures_that_are_asked_for_attributes_record_them(denoiser, codec, tmp_path):
    plain = draw(denoiser, codec, tmp_path / "plain", per_class=2)
    renew_attributes(denoiser.network, 4)
    with torch.no_grad():
        denoiser.network.a_embedder.weight.normal_(generator=torch.Generator().manual_seed(4))
    denoiser.attributes = 4
    vocabulary = {"light": ("day", "night"), "weather": ("clear", "rain")}
    denoiser.origin = Origin(attributes=vocabulary)
    free = draw(denoiser, codec, tmp_path / "free", per_class=2)
    assert free.digest == plain.digest
    night = draw(denoiser, codec, tmp_path / "night", per_class=2, where={"light": "Night"})
    assert night.column("light") == ["night"] * 4
    assert night.about["sampling"]["where"] == {"light": "night"}
    assert not np.array_equal(night.pixels(), free.pixels())
    spread = draw(denoiser, codec, tmp_path / "spread", per_class=4, strata=("light", "weather"), batch_size=3)
    shown = list(zip(spread.labels.tolist(), spread.column("light"), spread.column("weather"), strict=True))
    assert len(set(shown)) == 8
    # What each picture is asked decides what it looks like, not the set around it.
    alone = draw(denoiser, codec, tmp_path / "alone", per_class=4, where={"light": "night", "weather": "rain"})
    rows = [row for row, (_, light, weather) in enumerate(shown) if (light, weather) == ("night", "rain")]
    assert rows[0] % 4 != rows[1] % 4  # each class has its own order
    assert np.abs(alone.pixels(rows).astype(int) - spread.pixels(rows)).max() <= 1
    assert np.abs(night.pixels([0, 1]).astype(int) - free.pixels([0, 1])).max() > 10
    # Filling up: two of each class show the night already.
    fill = draw(denoiser, codec, tmp_path / "fill", per_class=2, strata=("light",), fill=night)
    assert fill.column("light") == ["day"] * 4
    assert fill.about["fill"] == night.digest
    with pytest.raises(UserError, match="this generator knows light: day, night; weather: clear, rain"):
        draw(denoiser, codec, tmp_path / "no", where={"light": "dusk"})


def test_a_set_of_other_settings_is_not_replaced(denoiser, codec, tmp_path):
    made = draw(denoiser, codec, tmp_path / "out", per_class=1)
    for changes, said in (
        ({"per_class": 2}, "per_class 1, not 2"),
        ({"per_class": 1, "seed": 8}, "seed 7, not 8"),
        ({"per_class": 1, "steps": 3}, "sampling.steps 6, not 3"),
    ):
        with pytest.raises(UserError, match=f"out holds a set that was generated with {said}; name another folder"):
            draw(denoiser, codec, tmp_path / "out", **changes)
    assert not (tmp_path / ".out.unfinished").exists()
    assert draw(denoiser, codec, tmp_path / "out", per_class=1).digest == made.digest
