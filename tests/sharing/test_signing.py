"""Signatures in minisign's format: vectors that minisign 0.11 made, and what is refused."""

import base64
import subprocess
from shutil import which

import pytest

from roadstill.errors import UserError
from roadstill.sharing.signing import check_signature, public_key, sign

# Made by `minisign -G -W` and `minisign -Sm file -t "a remark"`.
THEIRS = """\
untrusted comment: minisign public key 34A547476A97869F
RWSfhpdqR0elNLb/qf9vCCkPVW3rVFECb9MI5YooSr4Stj2mfjL7PoDC
"""
SIGNATURE = """\
untrusted comment: signature from minisign secret key
RUSfhpdqR0elNOUTovDMEontHt30PctSJIhW8zJnN4ft6ITejw5pOy9/9+hFWMTSmJXtSBUWGzBQdHkRalpkwWU+EyGlQi1S4Qo=
trusted comment: a remark
7oNRMKJv5xWzDySsGWDDWn36oWAtLmBGJZUjfg52K6g+ITAuDTowKNZ+0p1Gx6ziLqECt3hRvoXDeEQXPBN8Bg==
"""
TEXT = "what was shared\n"


def secret_key(kdf=bytes(2)):
    """The lines of a secret key file: algorithms, salt and limits (nothing, as it has no password), number, key."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    public = Ed25519PrivateKey.from_private_bytes(bytes(range(32))).public_key().public_bytes_raw()
    raw = b"Ed" + kdf + b"B2" + bytes(48) + b"number 1" + bytes(range(32)) + public + bytes(32)
    told = base64.b64encode(b"Ed" + b"number 1" + public).decode()
    return f"untrusted comment: x\n{base64.b64encode(raw).decode()}\n", f"untrusted comment: x\n{told}\n"


@pytest.fixture
def folder(tmp_path):
    pytest.importorskip("cryptography", reason="needs the extra share")
    for name, text in zip(("key", "key.pub"), secret_key(), strict=True):
        (tmp_path / name).write_text(text)
    (tmp_path / "theirs.pub").write_text(THEIRS)
    (tmp_path / "file").write_text(TEXT)
    return tmp_path


def test_a_signature_of_minisigns_own(folder):
    (folder / "file.minisig").write_text(SIGNATURE)
    assert check_signature(folder / "file", public_key(str(folder / "theirs.pub"))) == "a remark"
    assert check_signature(folder / "file", public_key(THEIRS.splitlines()[1])) == "a remark"


def test_what_is_signed_is_known_again_and_the_same_each_time(folder):
    sign(folder / "file", folder / "key", "a remark\n")
    text = (folder / "file.minisig").read_text()
    assert check_signature(folder / "file", public_key(str(folder / "key.pub"))) == "a remark\\n"
    sign(folder / "file", folder / "key", "a remark\n")
    assert (folder / "file.minisig").read_text() == text
    assert len(text.splitlines()) == 4


@pytest.mark.skipif(which("minisign") is None, reason="needs minisign (apt-get install minisign)")
def test_minisign_takes_our_signature(folder):
    sign(folder / "file", folder / "key", "a remark")
    words = ["minisign", "-Vm", str(folder / "file"), "-p", str(folder / "key.pub")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "a remark" in done.stdout


def changed_file(folder):
    (folder / "file").write_text(TEXT + " ")


def changed_remark(folder):
    path = folder / "file.minisig"
    path.write_text(path.read_text().replace("a remark", "a Remark"))


def changed_signature(folder):
    path = folder / "file.minisig"
    lines = path.read_text().splitlines()
    raw = bytearray(base64.b64decode(lines[1]))
    raw[20] ^= 1
    lines[1] = base64.b64encode(raw).decode()
    path.write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("change", [changed_file, changed_remark, changed_signature])
def test_whatever_is_changed_is_noticed(folder, change):
    (folder / "file.minisig").write_text(SIGNATURE)
    change(folder)
    with pytest.raises(UserError, match="file is not what was signed"):
        check_signature(folder / "file", public_key(str(folder / "theirs.pub")))


def test_another_key_is_said_to_be_one(folder):
    (folder / "file.minisig").write_text(SIGNATURE)
    raw = bytearray(base64.b64decode(THEIRS.splitlines()[1]))
    raw[5] ^= 1
    with pytest.raises(UserError, match="made with another key than the one that you trust"):
        check_signature(folder / "file", public_key(base64.b64encode(raw).decode()))
    raw[5] ^= 1
    raw[20] ^= 1  # the same number, another key
    with pytest.raises(UserError, match="is not what was signed"):
        check_signature(folder / "file", public_key(base64.b64encode(raw).decode()))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "has 0 lines"),
        ("a\nb\n", "has 2 lines"),
        ("a\nb\nc\nd\n", "does not hold a signature"),
        ("a\n" + base64.b64encode(b"Ed" + bytes(72)).decode() + "\nc\n" + base64.b64encode(bytes(64)).decode(),
         "not a signature of a digest"),
        ("\0" * 70_000, "longer than 0 MiB|is longer"),
    ],
)  # fmt: skip
def test_what_is_no_signature(folder, text, says):
    (folder / "file.minisig").write_text(text)
    with pytest.raises(UserError, match=says):
        check_signature(folder / "file", public_key(str(folder / "key.pub")))


def test_no_signature(folder):
    with pytest.raises(UserError, match=r"file is not signed \(there is no file\.minisig\)"):
        check_signature(folder / "file", public_key(str(folder / "key.pub")))


@pytest.mark.parametrize("text", ["", "x", "RWQ=", "nowhere.pub", base64.b64encode(b"xx" + bytes(40)).decode()])
def test_what_is_no_public_key(text):
    with pytest.raises(UserError, match="minisign public key"):
        public_key(text)


def test_what_is_no_secret_key(folder):
    key = folder / "other"
    for text, says in (
        ("a\nb\n", "does not hold a minisign secret key"),
        (THEIRS, "does not hold a minisign secret key"),
        (f"a\n{base64.b64encode(bytes(158)).decode()}\n", "is not a minisign secret key"),
        (secret_key(b"Sc")[0], "has a password, which is not asked for here.*minisign -Sm file"),
    ):
        key.write_text(text)
        with pytest.raises(UserError, match=says):
            sign(folder / "file", key, "")
    lines = secret_key()[0].splitlines()
    raw = bytearray(base64.b64decode(lines[1]))
    raw[100] ^= 1
    key.write_text(f"{lines[0]}\n{base64.b64encode(raw).decode()}\n")
    with pytest.raises(UserError, match="is damaged"):
        sign(folder / "file", key, "")
    assert not (folder / "file.minisig").exists()
