"""Manifests: every file's digest, what is not as it was, and what is no manifest."""

import hashlib
import json
import os
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roadstill.errors import UserError
from roadstill.sharing import manifest
from roadstill.sharing.manifest import FILE, examine, write_manifest


@pytest.fixture
def folder(tmp_path):
    # "a.b/", "a/" and "a0" sort in another order as whole texts than by their parts.
    for name in ("a/1.png", "a/2.png", "a.b/1.png", "a0", "README.md", "data/train-0.tar"):
        path = tmp_path / "shared" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    write_manifest(tmp_path / "shared", {"format": "imagefolder"}, {"digest": "0" * 16})
    return tmp_path / "shared"


def findings(folder):
    return [str(each) for each in examine(folder)[1]]


def test_statements_are_those_of_in_toto(folder):
    (line,) = (folder / FILE).read_text().splitlines()
    told = json.loads(line)
    assert told["_type"] == "https://in-toto.io/Statement/v1"
    assert told["predicateType"] == "https://slsa.dev/provenance/v1"
    assert told["predicate"]["buildDefinition"]["externalParameters"] == {"format": "imagefolder"}
    assert told["predicate"]["buildDefinition"]["internalParameters"]["set"] == {"digest": "0" * 16}
    for subject in told["subject"]:
        data = (folder / subject["name"]).read_bytes()
        assert subject["digest"] == {"sha256": hashlib.sha256(data).hexdigest()}
    assert len(told["subject"]) == 6


def test_what_is_whole(folder):
    assert examine(folder) == (6, [])
    (folder / ".DS_Store").touch()  # what programs leave behind
    assert examine(folder) == (6, [])


def test_what_is_changed_missing_or_extra(folder):
    (folder / "a" / "1.png").write_text("other")
    (folder / "a.b" / "1.png").unlink()
    (folder / "a" / "0.png").touch()
    (folder / "zz").mkdir()
    (folder / "zz" / "z").touch()
    assert findings(folder) == ["a/0.png: extra", "a/1.png: changed", "a.b/1.png: missing", "zz/z: extra"]


def test_links_and_what_is_no_file_are_not_what_was_shared(folder):
    for name in ("a0", "a/1.png"):
        (folder / name).rename(folder.parent / "elsewhere")
        (folder / name).symlink_to(folder.parent / "elsewhere")
    (folder / "README.md").unlink()
    os.mkfifo(folder / "README.md")
    (folder / "data").rename(folder.parent / "data")
    (folder / "data").symlink_to(folder.parent / "data")
    expected = {"README.md: changed", "a0: changed", "a/1.png: changed", "data: extra", "data/train-0.tar: missing"}
    assert set(findings(folder)) == expected


@given(st.lists(st.sampled_from(["a", "a/b", "a.b", "a b", "b/a/a", "b/a", "ab", "é/ü", "a-/c"]), unique=True))
@settings(max_examples=60, deadline=None)
def test_any_file_that_goes_or_comes_is_told(tmp_path_factory, gone):
    folder = tmp_path_factory.mktemp("any")
    for name in ("a_", "b/c", "é/x", "z"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    write_manifest(folder, {}, {})
    made = []
    for name in gone:
        try:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).touch()
            made.append(name)
        except (NotADirectoryError, FileExistsError, IsADirectoryError):
            continue
    made = [name for name in made if (folder / name).is_file()]
    (folder / "z").unlink()
    found = examine(folder)[1]
    assert {(each.file, each.says) for each in found} == {*((name, "extra") for name in made), ("z", "missing")}
    assert [each.file for each in found] == sorted((each.file for each in found), key=lambda name: name.split("/"))


def test_many_files_are_several_statements(tmp_path, monkeypatch):
    monkeypatch.setattr(manifest, "_PER_LINE", 7)
    for number in range(30):
        (tmp_path / f"{number:03d}").touch()
    write_manifest(tmp_path, {}, {})
    assert len((tmp_path / FILE).read_text().splitlines()) == 5
    assert examine(tmp_path) == (30, [])


def test_a_long_manifest_is_read_in_flat_memory(tmp_path):
    subject = {"digest": {"sha256": "0" * 64}}
    with (tmp_path / FILE).open("w") as file:
        for block in range(100):
            names = [{"name": f"{block:05d}-{number:05d}", **subject} for number in range(1000)]
            file.write(json.dumps({"_type": "https://in-toto.io/Statement/v1", "subject": names}) + "\n")
    (tmp_path / "zz").touch()
    tracemalloc.start()
    count = sum(1 for _ in manifest._told(tmp_path / FILE))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 100_000
    assert peak < 8 * 2**20


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", None),
        ("null\n", "Expected"),
        ('{"_type": "other", "subject": []}\n', "_type"),
        ('{"_type": "https://in-toto.io/Statement/v1", "subject": []}\n', "subject"),
        ("{broken\n", "cannot be read as JSON"),
    ],
)
def test_what_is_no_manifest(tmp_path, text, says):
    (tmp_path / FILE).write_text(text)
    (tmp_path / "a").touch()
    if says is None:  # one that names no file: all of them are extra
        assert findings(tmp_path) == ["a: extra"]
        return
    with pytest.raises(UserError, match=says):
        examine(tmp_path)


@pytest.mark.parametrize("name", ["../a", "/etc/passwd", "a/../../b", "a//b", "", "a\\b", "a\nb"])
def test_a_name_that_leaves_the_folder(tmp_path, name):
    subject = {"name": name, "digest": {"sha256": "0" * 64}}
    (tmp_path / FILE).write_text(json.dumps({"_type": "https://in-toto.io/Statement/v1", "subject": [subject]}) + "\n")
    with pytest.raises(UserError, match=r"leaves the folder|length >= 1"):
        examine(tmp_path)


def test_names_twice_or_out_of_order(tmp_path):
    for names in (["b", "a"], ["a", "a"]):
        subjects = [{"name": name, "digest": {"sha256": "0" * 64}} for name in names]
        told = {"_type": "https://in-toto.io/Statement/v1", "subject": subjects}
        (tmp_path / FILE).write_text(json.dumps(told) + "\n")
        with pytest.raises(UserError, match="'a' stands twice or out of order"):
            examine(tmp_path)


def test_no_shared_set(tmp_path):
    with pytest.raises(UserError, match="does not exist; it should be a shared set"):
        examine(tmp_path / "none")
    (tmp_path / "a").touch()
    with pytest.raises(UserError, match=r"manifest\.intoto\.jsonl does not exist; .*\(share\)"):
        examine(tmp_path)
