"""CIFAR-10 as sets: dev out of the training part and nothing else, every pixel kept, one way through the verb."""

import json

import made_cifar as made
import numpy as np
import pytest

from roadstill.cli import main
from roadstill.data.cifar10 import Cifar10Source, prepare_cifar10
from roadstill.data.picture_store import PictureConfig
from roadstill.data.sources import SetRequest
from roadstill.errors import UserError
from roadstill.imagesets import open_imageset


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    return made.binary(tmp_path_factory.mktemp("copy") / "cifar-10-batches-bin", 40)


def images_of(images):
    return set(images.column("source_image"))


def test_dev_is_a_balanced_share_of_the_training_part(copy, tmp_path):
    sets = prepare_cifar10(copy, tmp_path / "a", dev_images=50).sets
    assert {name: set(each.counts().values()) for name, each in sets.items()} == {
        "train": {15}, "dev": {5}, "test": {4}
    }  # fmt: skip
    assert not images_of(sets["train"]) & images_of(sets["dev"])
    assert {name.partition("/")[0] for name in images_of(sets["test"])} == {"test_batch"}
    assert {each.about["split"] for each in sets.values()} == {"train", "dev", "test"}
    other = prepare_cifar10(copy, tmp_path / "b", dev_images=50, seed=1).sets
    assert images_of(other["dev"]) != images_of(sets["dev"])
    assert other["test"].digest == sets["test"].digest


def test_every_pixel_and_where_it_came_from(copy, tmp_path):
    train = prepare_cifar10(copy, tmp_path, dev_images=50).sets["train"]
    for row in (0, 77, len(train) - 1):
        fact = train.facts[row]
        record = made.rows(fact["batch"], 40)[fact["index"]]
        assert train.labels[row] == record[0]
        np.testing.assert_array_equal(train.pixels([row])[0], made.picture(record))
        assert fact["log"] == fact["drive"] == fact["source_image"] == f"{fact['batch']}/{fact['index']:05d}"


def test_equal_copies_give_equal_sets(copy, tmp_path):
    digests = []
    for number, root in enumerate((copy, made.python(tmp_path / "py", 40), made.parquet(tmp_path / "hub", 40))):
        sets = prepare_cifar10(root, tmp_path / str(number), dev_images=20).sets
        digests.append({name: each.digest for name, each in sets.items()})
    assert digests[0] == digests[1] == digests[2]


def test_without_dev_the_whole_training_part_is_train(copy, tmp_path):
    prepare_cifar10(copy, tmp_path, dev_images=10)
    with pytest.raises(UserError, match="would overlap with train"):
        prepare_cifar10(copy, tmp_path, dev_images=0)
    sets = prepare_cifar10(copy, tmp_path / "new", dev_images=0).sets
    assert list(sets) == ["train", "test"]
    assert len(sets["train"]) == 200


@pytest.mark.parametrize(("parts", "train", "dev"), [(("train", "dev", "test"), 2, 2), (("train", "test"), 2, None)])
def test_as_a_source_it_makes_the_parts_that_are_wanted(copy, tmp_path, parts, train, dev):
    source = Cifar10Source(copy)
    sets = source.sets(tmp_path, SetRequest(parts, PictureConfig(64), max_per_class=2))
    assert tuple(sets) == parts
    assert set(sets["train"].counts().values()) == {train}
    assert dev is None or set(sets["dev"].counts().values()) == {dev}
    assert sets["train"].about["dev_images"] == 10 * (dev or 0)
    assert "this copy has 20" in source.notes[0]
    assert sets["test"].size_px == 32


@pytest.mark.parametrize("number", [-10, 5, 200, 5000])
def test_numbers_of_dev_pictures_that_cannot_be(copy, tmp_path, number):
    with pytest.raises(UserError, match="multiple of 10 below 200"):
        prepare_cifar10(copy, tmp_path, dev_images=number)
    assert not list(tmp_path.iterdir())


def test_at_most_so_many_of_a_class(copy, tmp_path):
    sets = prepare_cifar10(copy, tmp_path, dev_images=50, max_per_class=3).sets
    assert {count for each in sets.values() for count in each.counts().values()} == {3}


def test_a_bad_label_in_the_last_batch_leaves_nothing(tmp_path):
    root = made.binary(tmp_path / "copy")
    batch = root / "data_batch_5.bin"
    batch.write_bytes(batch.read_bytes()[:-3073] + b"\xff" * 3073)
    with pytest.raises(UserError, match="label 255"):
        prepare_cifar10(root, tmp_path / "out", dev_images=10)
    assert not (tmp_path / "out").exists()


def test_the_verb_knows_it_and_says_what_is_unlike(copy, tmp_path, capsys):
    archive = made.packed(copy, tmp_path / "cifar-10-binary.tar.gz")
    assert main(["prepare", str(archive), str(tmp_path / "sets"), "--dev_images", "50"]) == 0
    out = capsys.readouterr().out
    assert "WARNING: cifar-10-binary.tar.gz has the MD5" in out
    assert "the official train part has 5,000 pictures of each class, this copy has 20, 20" in out
    assert "sets/train: 15 airplane, 15 automobile, " in out
    assert open_imageset(tmp_path / "sets" / "dev").size_px == 32
    assert json.loads((tmp_path / "sets" / "test" / "set.json").read_text())["about"]["source"] == "cifar10"


@pytest.mark.parametrize("options", [["--size_px", "64"], ["--group", "(a)"], ["--shard", "1/2"], ["--decode", "full"]])
def test_what_is_not_for_it_is_refused(copy, tmp_path, capsys, options):
    assert main(["prepare", str(copy), str(tmp_path / "sets"), *options]) == 2
    assert "stay as they are" in capsys.readouterr().err
    assert main(["prepare", str(tmp_path), str(tmp_path / "sets"), "--dev_images", "10"]) == 2
    assert "dev_images is for CIFAR-10" in capsys.readouterr().err
