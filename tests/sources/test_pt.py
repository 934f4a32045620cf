"""Tensors of published sets: the forms in which authors save them, and what is no such file."""

import math

import numpy as np
import pytest
import torch

from roadstill.errors import UserError
from roadstill.sources import pt
from roadstill.sources.pt import OWN, classes_of, read_pt, read_rate

PICTURES, CLASSES = torch.rand((4, 3, 8, 8), generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 0, 1])


def saved(folder, value, **settings):
    torch.save(value, folder / "a.pt", **settings)
    return folder / "a.pt"


@pytest.mark.parametrize("packed", [True, False], ids=["zip", "legacy"])
def test_a_file_as_dc_saves_it_with_accuracies_of_numpy_beside(packed, tmp_path):
    accuracies = {"ConvNet": [np.float64(0.3), np.float32(0.4), np.int64(2)]}
    value = {"data": [[PICTURES, CLASSES], [1 - PICTURES, CLASSES]], "accs_all_exps": accuracies}
    path = saved(tmp_path, value, _use_new_zipfile_serialization=packed)
    for which, pictures in ((0, PICTURES), (1, 1 - PICTURES), (None, 1 - PICTURES)):
        found = read_pt(path, which)
        assert torch.equal(found.pictures, pictures)
        assert torch.equal(found.labels, CLASSES)
        assert found.own is None
    with pytest.raises(UserError, match="holds 2 sets; there is no number 2, counted from 0"):
        read_pt(path, 2)


def test_pictures_alone_as_a_pair_and_of_other_precision(tmp_path):
    assert read_pt(saved(tmp_path, PICTURES)).labels is None
    assert torch.equal(read_pt(saved(tmp_path, (PICTURES, CLASSES))).labels, CLASSES)
    assert read_pt(saved(tmp_path, {"data": [PICTURES], OWN: {"scale": "unit"}})).own == {"scale": "unit"}
    grown = torch.nn.Parameter(PICTURES.half().transpose(2, 3))
    found = read_pt(saved(tmp_path, grown)).pictures
    assert (found.dtype, found.requires_grad) == (torch.float32, False)
    assert torch.equal(found, grown.detach().float())


@pytest.mark.parametrize(("value", "says"), [
    (torch.rand(4, 1, 8, 8), r"no pictures \[n, 3, s, s\].* a tensor of shape \[4, 1, 8, 8\]"),
    (torch.rand(4, 8, 8, 3), r"no pictures .* a tensor of shape \[4, 8, 8, 3\]"),
    (torch.rand(0, 3, 8, 8), "no pictures"),
    (torch.tensor(1.0), "no pictures"),
    ({"a": PICTURES}, "no pictures .* or under 'data'"),
    ({"data": [{"images": PICTURES}]}, "no pictures"),
    ({"data": []}, "holds 0 sets; there is no number -1"),
    ("text", "no pictures"),
    (torch.rand(4, 3, 8, 9), "4 pictures of 9 x 8 pixels; read are at most .* square"),
    (torch.rand(1, 3, 4097, 4097, dtype=torch.float16), "of up to 4,096 pixels a side"),
    (torch.zeros(4, 3, 8, 8, dtype=torch.uint8), "pixels of type uint8, which should be floating-point"),
    (PICTURES * math.nan, "pixels that are not finite"),
    (PICTURES.double() * 1e300, "pixels that are not finite"),
])  # fmt: skip
def test_what_are_no_pictures(value, says, tmp_path):
    with pytest.raises(UserError, match=says):
        read_pt(saved(tmp_path, value))


def test_sizes_are_bounded(tmp_path, monkeypatch):
    path = saved(tmp_path, PICTURES)
    monkeypatch.setattr(pt, "MOST_PICTURES", 3)
    with pytest.raises(UserError, match="4 pictures of 8 x 8 pixels; read are at most 3"):
        read_pt(path)
    monkeypatch.setattr(pt, "MOST_PROBABILITIES", 15)
    with pytest.raises(UserError, match=r"labels of 4 x 4 numbers; read are .* at most 15 numbers"):
        classes_of(torch.eye(4), 4, path)
    monkeypatch.setattr(pt, "MOST_BYTES", 100)
    for read in (read_pt, read_rate):
        with pytest.raises(UserError, match=r"a\.pt: [\d,]+ bytes are more than the 100 that such a file may have"):
            read(path)


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint8])
def test_classes_of_any_whole_type(dtype, tmp_path):
    classes, soft = classes_of(CLASSES.to(dtype), 4, tmp_path)
    assert (classes.dtype, classes.tolist(), soft) == (torch.int64, [0, 1, 0, 1], None)


def test_probabilities_stay_and_logits_become_some(tmp_path):
    logits = torch.tensor([[2.0, -1.0], [0.5, 3.0]])
    classes, soft = classes_of(logits, 2, tmp_path)
    assert classes.tolist() == [0, 1]
    torch.testing.assert_close(soft, logits.softmax(1))
    again, same = classes_of(soft, 2, tmp_path)
    assert torch.equal(again, classes)
    assert torch.equal(same, soft)
    assert torch.equal(classes_of(torch.eye(2), 2, tmp_path)[1], torch.eye(2))


@pytest.mark.parametrize(("labels", "says"), [
    (None, "no label for each of 4 pictures; name the file that does as pt.labels"),
    (CLASSES[:3], "no label for each of 4 pictures"),
    (torch.tensor(4), "no label for each of 4 pictures"),
    (torch.zeros(4, 2, 2), "no label for each of 4 pictures"),
    ([0, 1, 0, 1], "no label for each of 4 pictures"),
    (CLASSES.float(), r"labels \[4\] of type float32"),
    (CLASSES.bool(), r"labels \[4\] of type bool"),
    (torch.eye(4).long(), r"labels \[4, 4\] of type int64"),
    (CLASSES - 1, "labels from -1 to 0"),
    (CLASSES + 10_000, "labels from 10000 to 10001; they should lie in 0..9999"),
    (torch.ones(4, 1), "labels of 4 x 1 numbers; read are 2 to 10,000 classes"),
    (torch.eye(4) * math.inf, "labels that are not finite"),
    (torch.eye(4) - 0.25, "labels that sum to 0, which are numbers for kernel regression"),
])  # fmt: skip
def test_what_are_no_labels(labels, says, tmp_path):
    with pytest.raises(UserError, match=says):
        classes_of(labels, 4, tmp_path / "a.pt")


def test_a_learning_rate_is_a_number_or_a_tensor_of_one(tmp_path):
    assert read_rate(saved(tmp_path, 0.02)) == 0.02
    assert read_rate(saved(tmp_path, torch.tensor(0.5))) == 0.5
    for wrong in (0, -1.0, math.nan, math.inf, torch.ones(2), torch.tensor(-1.0), "0.1", True, None):
        with pytest.raises(UserError, match=r"no learning rate, a number above 0; give it as pt\.learning_rate"):
            read_rate(saved(tmp_path, wrong))
