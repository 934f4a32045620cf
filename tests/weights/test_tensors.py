"""Tensors on disk: bounds, damage, numbers that are not finite."""

import json

import pytest
import torch
from safetensors.torch import save_file

from roadstill.errors import UserError
from roadstill.weights.tensors import (
    digest_tensors,
    is_finite,
    open_tensors,
    read_tensors,
    require_digest,
    require_intact,
    require_names,
    require_shapes,
    write_tensors,
)


def test_equal_tensors_are_equal_bytes_and_views_are_written_whole(tmp_path):
    whole = torch.arange(6.0)
    for name in "ab":
        write_tensors(tmp_path / name, {"part": whole[1:3], "whole": whole}, {"b": (1,), "a": tmp_path / "x"})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    tensors, about = read_tensors(tmp_path / "a", "tensors")
    assert tensors["part"].tolist() == [1, 2]
    assert about == {"a": (tmp_path / "x").as_posix(), "b": [1]}


def test_a_strangers_metadata_may_be_plain_text(tmp_path):
    save_file({"x": torch.ones(1)}, tmp_path / "foreign", {"format": "pt", "epochs": "3"})
    assert read_tensors(tmp_path / "foreign", "weights")[1] == {"format": "pt", "epochs": 3}


def test_what_is_no_tensor_file_says_what_it_should_be(tmp_path):
    with pytest.raises(UserError, match="does not exist; it should be a codec"):
        read_tensors(tmp_path / "none", "a codec")
    (tmp_path / "text").write_text("no tensors")
    with pytest.raises(UserError, match=r"cannot be read as safetensors .*; it should be a codec"):
        read_tensors(tmp_path / "text", "a codec")


def test_missing_and_unexpected_names_are_listed(tmp_path):
    require_names("ab", "ba", tmp_path)
    with pytest.raises(UserError, match=r"1 missing \[c\], 1 unexpected \[a\]"):
        require_names("ab", "bc", tmp_path)


def test_shapes_that_differ_are_named(tmp_path):
    require_shapes({"a": (2, 3)}, {"a": (2, 3)}, tmp_path)
    with pytest.raises(UserError, match="a has the shape 2 x 3, not of one number; make it again"):
        require_shapes({"a": (2, 3)}, {"a": ()}, tmp_path, "make it again")
    with pytest.raises(UserError, match="1 missing"):
        require_shapes({}, {"a": ()}, tmp_path)


def test_a_header_is_read_without_a_tensor(tmp_path):
    write_tensors(tmp_path / "a", {"x": torch.ones(2, 3), "y": torch.ones(())}, {"of": "me"})
    file = open_tensors(tmp_path / "a", "tensors")
    assert (file.shapes, file.about, file.is_own) == ({"x": (2, 3), "y": ()}, {"of": "me"}, True)
    save_file({"x": torch.ones(1)}, tmp_path / "b", {"of": "others"})
    assert not open_tensors(tmp_path / "b", "tensors").is_own


def raw(path, header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


@pytest.mark.parametrize(
    "header",
    [
        {"x": {"dtype": "F32", "shape": [10**9, 10**9], "data_offsets": [0, 8]}},
        {"x": {"dtype": "F32", "shape": [2], "data_offsets": [0, 10**12]}},
        {"x": {"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]}},
        {"x": {"dtype": "F99", "shape": [2], "data_offsets": [0, 8]}},
        {"x": {"dtype": "F32", "shape": [2**63, 2], "data_offsets": [0, 8]}},
        {"x": {"dtype": "F32", "shape": [2], "data_offsets": [8, 0]}},
        b"[" * 10_000,
        b"{" + b"x" * 100,
        b"",
    ],
)
def test_a_header_that_lies_is_refused(tmp_path, header):
    raw(tmp_path / "a", header, b"12345678")
    with pytest.raises(UserError, match=r"cannot be read as safetensors .*; it should be weights"):
        read_tensors(tmp_path / "a", "weights")


def test_a_header_of_more_than_16_mib_is_refused_unread(tmp_path):
    raw(tmp_path / "a", b"{}" + b" " * 2**24)
    with pytest.raises(UserError, match="its header has 16,777,218 bytes, more than 16,777,216"):
        open_tensors(tmp_path / "a", "weights")


@pytest.mark.parametrize("text", ["no JSON", "[]", '{"a": NaN}', '{"a": 1, "a": 2}', "[" * 10_000])
def test_metadata_that_is_no_record_is_refused(tmp_path, text):
    save_file({"x": torch.ones(1)}, tmp_path / "a", {"roadstill": text})
    with pytest.raises(UserError, match="metadata"):
        open_tensors(tmp_path / "a", "weights")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.float8_e5m2])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_one_number_that_is_not_finite_is_found(tmp_path, dtype, value):
    tensor = torch.linspace(-3, 3, 999).to(dtype)
    assert is_finite(tensor)
    wrong = tensor.float()
    wrong[500] = value
    assert not is_finite(wrong.to(dtype))
    write_tensors(tmp_path / "a", {"w": wrong.to(dtype)})
    with pytest.raises(UserError, match=r"a: w holds numbers that are not finite; the file is damaged; fetch or make"):
        read_tensors(tmp_path / "a", "weights")


def test_whole_numbers_and_nothing_are_finite():
    assert all(is_finite(each) for each in (torch.ones(3, dtype=torch.int64), torch.ones(3) > 0, torch.ones(0)))


def test_a_sealed_file_notices_damage_and_others_open_as_ever(tmp_path):
    tensors = {
        "x": torch.linspace(0, 1, 50),
        "n": torch.arange(3),
        "h": torch.ones(2, 2).bfloat16(),
        "e": torch.ones(0),
    }
    write_tensors(tmp_path / "sealed", tensors, sealed=True)
    write_tensors(tmp_path / "open", tensors)
    for name in ("sealed", "open"):
        assert all(torch.equal(one, tensors[key]) for key, one in read_tensors(tmp_path / name, "it")[0].items())
        data = bytearray((tmp_path / name).read_bytes())
        data[-1] ^= 1
        (tmp_path / name).write_bytes(data)
    read_tensors(tmp_path / "open", "it")
    with pytest.raises(UserError, match="sealed is damaged: its tensors are not those that were written; make it"):
        read_tensors(tmp_path / "sealed", "it")


def test_the_digest_depends_on_names_types_shapes_and_bytes():
    tensors = {"x": torch.zeros(4), "y": torch.ones(4)}
    digests = {
        digest_tensors(each)
        for each in (
            tensors,
            {"x": torch.ones(4), "y": torch.zeros(4)},
            tensors | {"x": torch.zeros(4, dtype=torch.int32)},
            tensors | {"x": torch.zeros(2, 2)},
            tensors | {"x": torch.tensor([0, 0, 0, 1.0])},
        )
    }
    assert len(digests) == 5
    assert digest_tensors(tensors) == digest_tensors(dict(reversed(tensors.items())))


def test_a_digest_beside_a_file_is_checked(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    digest = require_digest(tmp_path / "a", None)
    assert require_digest(tmp_path / "a", digest) == digest
    with pytest.raises(UserError, match=f"a is damaged.*: its digest is {digest}, not {'0' * 16}; make it again"):
        require_digest(tmp_path / "a", "0" * 16)
    with pytest.raises(UserError, match="b is missing; train again"):
        require_digest(tmp_path / "b", None, "train again")


def test_tensors_that_are_not_stored_number_by_number_are_refused(tmp_path):
    require_intact({"a": torch.ones(3, 3).T}, tmp_path)
    for odd, message in (
        (torch.ones(1).expand(10**6, 10**6), "claims more numbers than the file holds"),
        (torch.ones(2, 2).to_sparse(), "no plain tensor"),
        (torch.ones(2, device="meta"), "no plain tensor"),
        (torch.ones(2) * 1j, "no plain tensor"),
    ):
        with pytest.raises(UserError, match=f": a is {message}" if "plain" in message else f": a {message}"):
            require_intact({"a": odd}, tmp_path)
