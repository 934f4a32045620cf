"""What the verbs share and verify say."""

from typing import get_args, get_type_hints

import pytest
from made import picture_set

from roadstill.cli import main
from roadstill.imagesets.sources import KNOWN, UNRECORDED
from roadstill.sharing import FORMATS
from roadstill.verbs.sharing import share as verb_share


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    picture_set(tmp_path / "set", 4)
    return tmp_path


def test_a_set_is_shared_and_found_whole(folder, capsys):
    assert main(["share", "set", "out", "--sources", "world", "roadstill-weights", "--name", "Four pictures"]) == 0
    assert capsys.readouterr().out == "out: 4 images as imagefolder; licence: apache-2.0\n"
    assert (folder / "out" / "README.md").read_text().count("# Four pictures\n") == 1
    assert main(["verify", "out"]) == 0
    assert capsys.readouterr().out == "out is as it was shared: 8 files\n"
    assert main(["share", "set", "out", "--format", "webdataset"]) == 0
    assert "out: the licence of its sources is not known" in capsys.readouterr().out


def test_each_finding_is_a_line_and_the_code_is_2(folder, capsys):
    assert main(["share", "set", "out"]) == 0
    (folder / "out" / "1_brake" / "000000.png").unlink()
    (folder / "out" / "README.md").write_text("mine")
    (folder / "out" / "more").touch()
    capsys.readouterr()
    assert main(["verify", "out"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    *lines, last = said.err.splitlines()
    assert lines == ["out/1_brake/000000.png: missing", "out/README.md: changed", "out/more: extra"]
    assert last.startswith("roadstill: out/1_brake/000000.png: missing and 2 more; ")


def test_a_set_that_was_not_shared_and_a_signature_that_is_not_there(folder, capsys):
    assert main(["verify", "set"]) == 2
    assert "manifest.intoto.jsonl does not exist" in capsys.readouterr().err
    assert main(["share", "set", "out"]) == 0
    (folder / "out" / "manifest.intoto.jsonl.minisig").touch()
    capsys.readouterr()
    assert main(["verify", "out"]) == 0
    assert "its signature was not checked: name the key" in capsys.readouterr().out


def test_the_help_names_all_formats_and_sources():
    assert get_args(get_type_hints(verb_share)["format"]) == FORMATS
    for name in set(KNOWN) - {UNRECORDED}:
        assert name in verb_share.__doc__, name


def test_a_signed_set(folder, capsys):
    pytest.importorskip("cryptography", reason="needs the extra share")
    import base64

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    public = Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key().public_bytes_raw()
    raw = b"Ed" + bytes(2) + b"B2" + bytes(48) + b"12345678" + bytes(32) + public + bytes(32)
    (folder / "key").write_text(f"untrusted comment:\n{base64.b64encode(raw).decode()}\n")
    told = base64.b64encode(b"Ed12345678" + public).decode()
    assert main(["share", "set", "out", "--key", "key"]) == 0
    capsys.readouterr()
    assert main(["verify", "out", "--key", told]) == 0
    assert "10 files" not in (said := capsys.readouterr().out)
    assert "out is as it was shared: 8 files, and was signed with your key (roadstill set " in said
    path = folder / "out" / "manifest.intoto.jsonl"
    path.write_text(path.read_text().replace("imagefolder", "imagefolders"))
    assert main(["verify", "out", "--key", told]) == 2
    assert "is not what was signed" in capsys.readouterr().err
