"""One file of tensors: what its card tells of them, and that the manifest holds it."""

import pytest
import torch
from made import picture_set

from roadstill.errors import UserError
from roadstill.imagesets import ImageSetWriter, open_imageset
from roadstill.sharing import examine, share


def distilled(folder, **recipe):
    with ImageSetWriter(folder, ("a", "b"), 8) as writer:
        pictures = torch.randn((4, 3, 8, 8), generator=torch.Generator().manual_seed(0))
        pixels = (pictures.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
        for row in range(4):
            writer.add(pixels[row], row % 2, {"soft_label": [0.25, 0.75]})
        writer.values = {"pictures": pictures, "mean": torch.rand(192), "matrix": torch.eye(192)}
        writer.values |= {"targets": torch.rand(4, 2)}
        writer.about["recipe"] = {"protocol": "mtt", "learning_rate": 0.0217, **recipe}
    return open_imageset(folder)


def test_the_card_tells_what_whoever_opens_the_file_has_to_know(tmp_path):
    images = distilled(tmp_path / "set", labels="soft", patches=2, augment="dsa")
    made = share(images.root, tmp_path / "out", format="pt", sources=["cifar10"])
    assert len(made.notes) == 2
    assert "format imagefolder keeps them" in made.notes[1]
    card = (tmp_path / "out" / "README.md").read_text()
    for line in (
        "`data/train.pt` holds pictures, float32 `[n, 3, s, s]`, and labels.",
        "0 is black and 1 white, and pixels go beyond both.",
        "with labels soft, normalise whitened, optimiser sgd, learning_rate 0.0217, augment dsa (protocol mtt);",
        "Each picture holds 2 x 2 pictures of its class",
    ):
        assert line in card, line
    namespace = {}
    code = card.split("```python\n")[1].split("```")[0].replace("FOLDER", str(tmp_path / "out"))
    exec(code, namespace)
    found = namespace["found"]
    assert torch.equal(namespace["pictures"], images.values.pictures(range(4)))
    assert torch.equal(namespace["labels"], torch.tensor([[0.25, 0.75]] * 4))
    for name in ("classes", "whitening", "targets"):
        assert f'found["roadstill"]["{name}"]' in card
        assert name in found["roadstill"]
    assert '"sources": ["cifar10"]' in found["roadstill"]["about"]


def test_a_set_without_recipe_has_no_line_of_it(tmp_path):
    share(picture_set(tmp_path / "set", 4).root, tmp_path / "out", format="pt")
    card = (tmp_path / "out" / "README.md").read_text()
    assert "0 is black and 1 white. Classes are" in card
    assert "trained on with" not in card


def test_a_changed_file_is_named(tmp_path):
    share(picture_set(tmp_path / "set", 4).root, tmp_path / "out", format="pt")
    path = tmp_path / "out" / "data" / "train.pt"
    path.write_bytes(path.read_bytes()[:-1])
    assert [str(each) for each in examine(tmp_path / "out")[1]] == ["data/train.pt: changed"]


def test_damaged_values_stop_all(tmp_path):
    images = distilled(tmp_path / "set")
    path = images.root / "values.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(UserError, match=r"is not what set\.json was written with"):
        share(images.root, tmp_path / "out", format="pt")
    assert not (tmp_path / "out").exists()
