"""Sets as their authors publish them: read as they are meant, and ours written and read again to the same bits."""

import json

import numpy as np
import pytest
import torch
from made import picture_set

from roadstill.agents import AgentConfig, protocol, soften, train_agent
from roadstill.agents.targets import soft_labels
from roadstill.distil.beginning import whitening_on
from roadstill.distil.declared import PtConfig
from roadstill.distil.published import read_published, write_published
from roadstill.errors import UserError
from roadstill.imagesets import ImageSetWriter, open_imageset
from roadstill.sources.pt import OWN

NAMES = ("cat", "dog", "cow")
UNIT = PtConfig(scale="unit", class_names=NAMES)
MEAN = torch.tensor([0.4914, 0.4822, 0.4465]).view(3, 1, 1)
DEVIATION = torch.tensor([0.2023, 0.1994, 0.2010]).view(3, 1, 1)


def some(count=6, px=8):
    return torch.rand((count, 3, px, px), generator=torch.Generator().manual_seed(0)), torch.arange(count) % 3


def saved(folder, value, name="a.pt"):
    torch.save(value, folder / name)
    return folder / name


def distilled(folder, *, soft=False, **more):
    """A set like one that `distil` writes, whose pixels lie beyond those of any picture."""
    generator = torch.Generator().manual_seed(1)
    pictures, labels = torch.randn((6, 3, 8, 8), generator=generator), torch.tensor([2, 0, 1, 1, 0, 2])
    probabilities = torch.rand((6, 3), generator=generator, dtype=torch.float64).softmax(1)
    pixels = (pictures.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    with ImageSetWriter(folder, NAMES, 8) as writer:
        for row, label in enumerate(labels.tolist()):
            facts = {"soft_label": probabilities[row].tolist()} if soft else {}
            writer.add(pixels[row], label, {"log": f"log{row}"} | facts)
        writer.values = {"pictures": pictures, **more}
        recipe = {"protocol": "mtt", "labels": "soft" if soft else "hard", "learning_rate": 0.0217}
        writer.about.update({"source": "cifar10", "distilled": {"seed": 0}, "recipe": recipe})
    return open_imageset(folder)


# ---- files of others


@pytest.mark.parametrize("form", ["pair", "data", "apart"])
def test_every_form_gives_the_same_set(form, tmp_path):
    pictures, labels = some()
    normalised = (pictures - MEAN) / DEVIATION
    apart = None
    if form == "apart":
        path, apart = saved(tmp_path, normalised), saved(tmp_path, labels, "labels.pt")
    else:
        path = saved(tmp_path, [normalised, labels] if form == "pair" else {"data": [[normalised, labels]]})
    config = PtConfig(scale="cifar10", class_names=NAMES, labels=apart, learning_rate=0.02, protocol="dsa")
    made = read_published(path, tmp_path / "set", config)
    assert made.counts() == {"cat": 2, "dog": 2, "cow": 2}
    assert made.labels.tolist() == labels.tolist()
    torch.testing.assert_close(made.values.pictures(range(6)), pictures)
    assert made.about["recipe"] == {"protocol": "dsa", "labels": "hard", "learning_rate": 0.02}
    assert (made.about["published"]["file"], made.about["published"]["scale"]) == ("a.pt", "cifar10")


def test_pixels_beyond_black_and_white_stay_and_pictures_are_clamped(tmp_path):
    pictures, labels = some()
    config = PtConfig(scale="unclamped")
    made = read_published(saved(tmp_path, [pictures * 3 - 1, labels]), tmp_path / "set", config)
    assert torch.equal(made.values.pictures(range(6)), pictures * 3 - 1)
    assert (made.pixels().min(), made.pixels().max()) == (0, 255)
    assert made.class_names == ("0", "1", "2")


def test_learnt_labels_become_probabilities_and_training_has_to_take_them(tmp_path):
    pictures, _ = some()
    labels = torch.randn((6, 3), generator=torch.Generator().manual_seed(2))
    config = PtConfig(scale="unit", augment="dsa", rate_file=saved(tmp_path, torch.tensor(0.5), "lr.pt"))
    made = read_published(saved(tmp_path, [pictures, labels]), tmp_path / "set", config)
    found = torch.tensor([fact["soft_label"] for fact in made.facts])
    torch.testing.assert_close(found, labels.softmax(1))
    assert made.labels.tolist() == labels.argmax(1).tolist()
    says = r"with labels soft, learning_rate 0\.5, augment dsa \(protocol not told\); set agent\.recipe to apply"
    with pytest.raises(UserError, match=says):
        train_agent(made, config=protocol("dc", epochs=1), seed=0)
    agent = train_agent(made, config=protocol("dc", epochs=1, recipe="apply"), seed=0)
    assert (agent.config.labels, agent.config.learning_rate, agent.config.augment) == ("soft", 0.5, "dsa")
    assert train_agent(made, config=protocol("dc", epochs=1, recipe="ignore"), seed=0).config.labels == "hard"


def test_whitened_pixels_are_brought_back_by_the_real_set(tmp_path):
    real = picture_set(tmp_path / "real", 40, px=8)
    pictures, _ = some()
    labels, whitening = torch.arange(6) % 2, whitening_on(real, "absolute")
    path = saved(tmp_path, [whitening.enter(pictures), labels])
    made = read_published(
        path, tmp_path / "set", PtConfig(scale="whitened", whitening="absolute", real=real.root, protocol="mtt")
    )
    torch.testing.assert_close(made.values.pictures(range(6)), pictures, rtol=0, atol=1e-4)
    assert made.class_names == real.class_names
    assert made.about["sources"] == ["unrecorded"]
    agent = train_agent(made, config=AgentConfig("convnet-3", steps=1, recipe="apply"), seed=0)
    assert agent.config.normalise == "whitened"
    unwhitened = saved(tmp_path, [pictures, labels], "images_zca.pt")  # as MTT saves them besides
    config = PtConfig(scale="unit", whitening="absolute", real=real.root)
    mean, matrix = read_published(unwhitened, tmp_path / "other", config).values.whitening()
    assert torch.equal(mean, whitening.mean)
    assert torch.equal(matrix, whitening.matrix)


@pytest.mark.parametrize(("what", "config", "said"), [
    (lambda x, y: [x * 9 - 3, y], UNIT, r"holds pixels from -[\d.]+ to [\d.]+, which is no scale from 0 to 1; say"),
    (lambda x, y: [x, y], PtConfig(), r"does not tell .* go from 0\.\d\d to 1\.00; say it as pt\.scale: unit"),
    (lambda x, y: [x, y + 5], UNIT, "labels of 8 classes, and there are 3 names"),
    (lambda x, y: [x, torch.rand(6, 2) - 3], UNIT, "labels of 2 classes, and there are 3 names"),
    (lambda x, y: x, UNIT, "no label for each"),
    (lambda x, y: [x, y], PtConfig(scale="unit", class_names=("a", "a", "b")), "two classes have one name"),
    (lambda x, y: [x, y], PtConfig(scale="unit", class_names=("a", "..", "b")), "cannot name a folder"),
    (lambda x, y: [x, y], PtConfig(scale="unit", patches=9), "of 8 px, too small for 9 patches along a side"),
])  # fmt: skip
def test_mistakes_are_named(what, config, said, tmp_path):
    path = saved(tmp_path, what(*some()))
    with pytest.raises(UserError, match=said):
        read_published(path, tmp_path / "set", config)
    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize(("settings", "says"), [
    ({"scale": "guess"}, r"pt\.scale 'guess' is unknown; take unit \(0 to 1\), unclamped"),
    ({"protocol": "dcc"}, "agent protocol 'dcc' is unknown"),
    ({"whitening": "absolute"}, r"computed on a real set; name it as pt\.real"),
    ({"scale": "whitened"}, r"without their matrix; give pt\.whitening and pt\.real"),
    ({"learning_rate": 0.1, "rate_file": "lr.pt"}, "are both given"),
    ({"learning_rate": 0.0}, r"pt\.learning_rate is 0\.0; it must be above 0"),
    ({"patches": 17}, r"pt\.patches is 17; it must be a whole number, at least 1 and at most 16"),
])  # fmt: skip
def test_settings_that_do_not_go_together(settings, says):
    with pytest.raises(UserError, match=says):
        PtConfig(**settings)


def test_the_real_set_has_the_same_size_and_is_not_written_over(tmp_path):
    real = picture_set(tmp_path / "real", 4, px=16)
    pictures, labels = some()
    path = saved(tmp_path, [pictures, labels % 2])
    config = PtConfig(scale="unit", real=real.root, whitening="relative")
    with pytest.raises(UserError, match=r"holds pictures of 8 px, and .*real of 16 px"):
        read_published(path, tmp_path / "set", config)
    with pytest.raises(UserError, match="is what the call reads"):
        read_published(path, real.root, config)


# ---- files of ours


@pytest.mark.parametrize("soft", [False, True])
def test_what_is_written_is_read_again_to_the_same_bits(soft, tmp_path):
    mean, matrix = torch.rand(192), torch.rand(192, 192)
    images = distilled(tmp_path / "set", soft=soft, mean=mean, matrix=matrix, targets=torch.rand(6, 3))
    made = read_published(write_published(images, tmp_path / "a.pt"), tmp_path / "again", PtConfig())
    assert made.digest == images.digest  # of names, labels, pictures, and the file of values
    assert (made.root / "values.safetensors").read_bytes() == (images.root / "values.safetensors").read_bytes()
    assert [fact.get("soft_label") for fact in made.facts] == [fact.get("soft_label") for fact in images.facts]
    assert {name: made.about[name] for name in images.about} == images.about
    assert "published" not in made.about
    assert made.about["copied"]["scale"] == "unclamped"
    write_published(made, tmp_path / "b.pt")
    one, two = (torch.load(tmp_path / name, weights_only=True) for name in ("a.pt", "b.pt"))
    for first, second in zip(one["data"][0], two["data"][0], strict=True):
        assert torch.equal(first, second)


def test_code_of_others_finds_the_tensors_where_dc_has_them(tmp_path):
    images = distilled(tmp_path / "set")
    pictures, labels = torch.load(write_published(images, tmp_path / "a.pt"), weights_only=True)["data"][-1]
    assert (pictures.dtype, tuple(pictures.shape), labels.dtype) == (torch.float32, (6, 3, 8, 8), torch.int64)
    assert torch.equal(pictures, images.values.pictures(range(6)))
    np.testing.assert_array_equal(labels.numpy(), images.labels)


def test_pictures_without_values_are_those_of_the_files(tmp_path):
    images = picture_set(tmp_path / "set", 6)
    made = read_published(write_published(images, tmp_path / "a.pt"), tmp_path / "again", PtConfig())
    np.testing.assert_array_equal(made.pixels(), images.pixels())
    np.testing.assert_array_equal(made.labels, images.labels)
    assert "recipe" not in made.about
    assert made.about["copied"]["scale"] == "unit"
    teacher = train_agent(images, config=AgentConfig("convnet", steps=1), seed=0)
    train_agent(soften(made, teacher), config=AgentConfig("convnet", steps=1, labels="soft"), seed=0)  # as any set
    said = read_published(tmp_path / "a.pt", tmp_path / "said", PtConfig(protocol="dsa"))
    assert said.about["recipe"] == {"protocol": "dsa", "labels": "hard"}


def test_what_the_user_says_counts_more_than_what_the_file_does(tmp_path):
    images = distilled(tmp_path / "set")
    config = PtConfig(scale="cifar10", class_names=("a", "b", "c"), learning_rate=1.0)
    made = read_published(write_published(images, tmp_path / "a.pt"), tmp_path / "again", config)
    torch.testing.assert_close(made.values.pictures(range(6)), images.values.pictures(range(6)) * DEVIATION + MEAN)
    assert made.class_names == ("a", "b", "c")
    assert made.about["recipe"] == images.about["recipe"] | {"learning_rate": 1.0}


def test_folders_of_this_machine_stay_here(tmp_path):
    with ImageSetWriter(tmp_path / "set", ("a",), 8) as writer:
        writer.add(np.zeros((8, 8, 3), np.uint8), 0, {})
        writer.about["hook"] = {"name": "BlurBoxes", "settings": {"logs": "/home/me/secret/mini"}}
    assert b"secret" not in write_published(open_imageset(tmp_path / "set"), tmp_path / "a.pt").read_bytes()


def test_only_a_new_file_of_a_set_that_fits_is_written(tmp_path, monkeypatch):
    images = distilled(tmp_path / "set")
    write_published(images, tmp_path / "a.pt")
    with pytest.raises(UserError, match="is there already"):
        write_published(images, tmp_path / "a.pt")
    monkeypatch.setattr("roadstill.distil.published.MOST_BYTES", 4607)
    with pytest.raises(UserError, match="would have 4,608 bytes, more than the 4,607"):
        write_published(images, tmp_path / "b.pt")
    assert not (tmp_path / "b.pt").exists()


@pytest.mark.parametrize(("change", "says"), [
    ({"scale": "cifar10"}, "roadstill, scale: .*'cifar10'"),
    ({"class_names": "cat"}, "roadstill, class_names: "),
    ({"class_names": ["cat", "../dog", "cow"]}, r"class name '\.\./dog' cannot name a folder"),
    ({"about": "[]"}, "roadstill, about: "),
    ({"about": "{"}, "cannot be read as JSON"),
    ({"about": " " * 2**21}, "roadstill, about: "),
    ({"about": json.dumps({"recipe": []})}, "recipe: "),
    ({"about": json.dumps({"recipe": {"learning_rate": -1}})}, "recipe, learning_rate: "),
    ({"about": json.dumps({"recipe": {"augment": "os.system"}})}, "recipe, augment: "),
    ({"whitening": [torch.rand(3), torch.rand(3, 3)]}, "whitening or targets of other pictures"),
    ({"whitening": torch.rand(2, 192)}, "whitening without mean or matrix"),
    ({"whitening": [torch.full((192,), torch.nan), torch.rand(192, 192)]}, "or not finite"),
    ({"targets": torch.rand(5, 3)}, "whitening or targets of other pictures"),
    ({"targets": [1, 2]}, "whitening or targets of other pictures"),
    ({"targets": torch.rand(6, 3).double()}, "whitening or targets of other pictures"),
    ({1: 2}, "roadstill: "),
    ({"classes": torch.zeros(5, dtype=torch.int64)}, "no label for each of 6 pictures"),
])  # fmt: skip
def test_a_damaged_file_of_ours(change, says, tmp_path):
    value = torch.load(write_published(distilled(tmp_path / "set", soft=True), tmp_path / "a.pt"), weights_only=True)
    value[OWN] |= change
    with pytest.raises(UserError, match=says):
        read_published(saved(tmp_path, value, "b.pt"), tmp_path / "again", PtConfig())
    assert not (tmp_path / "again").exists()


@pytest.mark.parametrize("other", ["a", torch.ones(5), torch.full((6, 3), torch.nan), torch.ones(6, 3)])
def test_probabilities_that_are_not_those_of_the_labels_do_not_count(other, tmp_path):
    images = distilled(tmp_path / "set", soft=True)
    value = torch.load(write_published(images, tmp_path / "a.pt"), weights_only=True)
    value[OWN]["probabilities"] = other
    made = read_published(saved(tmp_path, value, "b.pt"), tmp_path / "again", PtConfig())
    np.testing.assert_array_equal(soft_labels(made), soft_labels(images))


def test_something_else_under_our_key(tmp_path):
    with pytest.raises(UserError, match=r"a\.pt, roadstill: "):
        read_published(saved(tmp_path, {"data": [list(some())], OWN: [1]}), tmp_path / "set", PtConfig())
