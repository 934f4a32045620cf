"""Sets as their authors publish them."""

import pytest
import torch

from roadstill.distil.published import read_published, write_published
from roadstill.errors import UserError

NAMES = ("cat", "dog", "cow")


def some(count=6, px=8):
    return torch.rand((count, 3, px, px), generator=torch.Generator().manual_seed(0)), torch.arange(count) % 3


@pytest.mark.parametrize("form", ["pair", "data", "apart"])
def test_every_form_gives_the_same_set(form, tmp_path):
    pictures, labels = some()
    normalised = (pictures - torch.tensor([0.4914, 0.4822, 0.4465]).view(3, 1, 1)) / torch.tensor(
        [0.2023, 0.1994, 0.2010]).view(3, 1, 1)  # fmt: skip
    path, apart = tmp_path / "images.pt", None
    if form == "apart":
        torch.save(normalised, path)
        apart = tmp_path / "labels.pt"
        torch.save(labels, apart)
    else:
        torch.save([normalised, labels] if form == "pair" else {"data": [[normalised, labels]]}, path)
    made = read_published(path, tmp_path / "set", scale="cifar10", class_names=NAMES, labels=apart, learning_rate=0.02)
    assert made.counts() == {"cat": 2, "dog": 2, "cow": 2}
    torch.testing.assert_close(made.values.pictures(range(6)), pictures[torch.argsort(labels, stable=True)])
    assert made.about["recipe"] == {"protocol": "dsa", "labels": "hard", "learning_rate": 0.02}
    again = read_published(
        write_published(made, tmp_path / "again.pt"), tmp_path / "again", scale="unit", class_names=NAMES
    )
    torch.testing.assert_close(again.values.pictures(range(6)), made.values.pictures(range(6)), rtol=0, atol=1e-6)


def test_learnt_labels_become_probabilities(tmp_path):
    pictures, _ = some()
    torch.save([pictures, torch.randn(6, 3)], tmp_path / "a.pt")
    made = read_published(tmp_path / "a.pt", tmp_path / "set", scale="unit", class_names=NAMES)
    assert made.about["recipe"]["labels"] == "soft"
    assert all(sum(fact["soft_label"]) == pytest.approx(1, abs=1e-6) for fact in made.facts)


@pytest.mark.parametrize(("what", "scale", "said"), [
    (lambda x, y: [x * 9 - 3, y], "unit", "no scale from 0 to 1"),
    (lambda x, y: [x, y + 5], "unit", "labels up to 7"),
    (lambda x, y: x, "unit", "no label for each"),
    (lambda x, y: [x[0], y], "unit", "no pictures"),
    (lambda x, y: [x, y], "guess", "say in which scale"),
    (lambda x, y: {"data": []}, "unit", "no number -1"),
])  # fmt: skip
def test_mistakes_are_named(what, scale, said, tmp_path):
    torch.save(what(*some()), tmp_path / "a.pt")
    with pytest.raises(UserError, match=said):
        read_published(tmp_path / "a.pt", tmp_path / "set", scale=scale, class_names=NAMES)
    assert not (tmp_path / "set").exists()
