"""What the verb prepare says of files of tensors."""

import pytest
import torch

from roadstill.cli import main
from roadstill.imagesets import open_imageset


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pictures = torch.rand((4, 3, 8, 8), generator=torch.Generator().manual_seed(0))
    torch.save({"data": [[pictures, torch.tensor([0, 1, 0, 1])]]}, tmp_path / "res.pt")
    torch.save(pictures, tmp_path / "images.pt")
    torch.save(torch.eye(2).repeat(2, 1) * 3, tmp_path / "labels.pt")
    torch.save(0.0217, tmp_path / "lr.pt")
    return tmp_path


def test_a_set_is_made_with_what_the_file_does_not_tell(folder, capsys):
    assert main(["prepare", "res.pt", "theirs", "--pt.scale", "unit", "--pt.class_names", "go", "brake"]) == 0
    said = "theirs: 4 images of 2 classes; made to be trained on with labels hard (protocol not told)\n"
    assert capsys.readouterr().out == said
    assert open_imageset(folder / "theirs").counts() == {"go": 2, "brake": 2}
    words = ["--pt.labels", "labels.pt", "--pt.rate_file", "lr.pt", "--pt.protocol", "mtt", "--pt.augment", "dsa"]
    assert main(["prepare", "images.pt", "learnt", "--pt.scale", "unit", *words]) == 0
    said = (
        "learnt: 4 images of 2 classes; made to be trained on with labels soft, optimiser sgd, learning_rate 0.0217, "
    )
    assert capsys.readouterr().out == f"{said}augment dsa (protocol mtt)\n"


def test_a_set_goes_into_a_file_and_comes_back(folder, capsys):
    assert main(["prepare", "res.pt", "theirs", "--pt.scale", "unit", "--pt.learning_rate", "0.5"]) == 0
    assert main(["share", "theirs", "shared", "--format", "pt"]) == 0
    assert main(["verify", "shared"]) == 0
    assert main(["prepare", "shared/data/train.pt", "again"]) == 0
    assert open_imageset(folder / "again").digest == open_imageset(folder / "theirs").digest
    assert open_imageset(folder / "again").about["recipe"]["learning_rate"] == 0.5
    assert "shared is as it was shared: 2 files" in capsys.readouterr().out


@pytest.mark.parametrize(("words", "says"), [
    (("res.pt", "out"), "res.pt does not tell in which scale its pixels are, which go from 0.00 to 1.00; say it as "
                        "pt.scale: unit (0 to 1), unclamped (0 black, 1 white, and beyond), cifar10 or imagenet "
                        "(normalised by its mean and deviation), or whitened"),
    (("images.pt", "out", "--pt.scale", "unit"), "images.pt holds no label for each of 4 pictures; name the file that "
                                                 "does as pt.labels"),
    (("res.pt", "out", "--size_px", "64"), "res.pt holds tensors, which stay as they are; only pt settings are for it, "
                                           "not size_px"),
    ((".", "out", "--pt.scale", "unit"), ". is no file of tensors (.pt), so the pt settings are not for it"),
    (("gone.pt", "out"), "gone.pt: No such file or directory"),
])  # fmt: skip
def test_mistakes_are_one_line(folder, words, says, capsys):
    assert main(["prepare", *words]) == 2
    assert capsys.readouterr().err == f"roadstill: {says}\n"
    assert not (folder / "out").exists()
