"""Outputs that cannot be written: every verb says so in one line, keeps what was there and leaves nothing torn."""

import os
import subprocess

import pytest

from roadstill.cli import main

AGENT = ("--agent.network", "convnet", "--agent.steps", 2)
TUNING = ("--tuning.batch_size", 4, "--tuning.save_every", 1, "--tuning.steps", 2)
DRAWING = ("--sampling.steps", 2, "--per_class", 1)

# Words of every verb that writes, with {out}, and what makes another product in the same place; None where a second
# product is refused.
VERBS = {
    "world": (("world", "{out}", "--drives", 1, "--height_px", 36), None),
    "index": (("index", "world", "{out}"), ("--split_seed", 1)),
    "prepare": (("prepare", "index", "{out}", "--size_px", 32, "--max_per_class", 4), ("--size_px", 16)),
    "encode": (("encode", "sets/train", "{out}"), ("--codec", "pixels")),
    "pretrain codec": (("pretrain", "codec", "set", "{out}", "--codec.steps", 1, "--codec.held_out", 2), None),
    "pretrain denoiser": (("pretrain", "denoiser", "latents", "{out}", "--denoiser.steps", 1, "--denoiser.batch_size",
                           4), None),
    "finetune": (("finetune", "latents", "{out}", *TUNING), None),
    "generate": (("generate", "{out}", *DRAWING), None),
    "refine": (("refine", "sets/dev", "sets/train", "{out}", *AGENT, "--refinement.steps", 1), ("--seed", 1)),
    "select": (("select", "set", "{out}", "--per_class", 1), ("--seed", 1)),
    "select index": (("select", "index", "{out}", "--from_index", "--per_class", 1), ("--seed", 1)),
    "train": (("train", "set", "{out}", *AGENT), ("--seed", 1)),
    "evaluate": (("evaluate", "agent", "other", "--out", "{out}"), ("--arm", "x")),
    "compare": (("compare", "set", "other", "--test", "sets/test", *AGENT, "--agent.image_px", 16, "--seeds", 3,
                 "--workers", 1, "--out", "{out}"), ("--seeds", 4)),
    "share": (("share", "set", "{out}", "--format", "parquet"), ("--format", "webdataset")),
    "export diffusers": (("export", "{out}"), ("--checkpoint", "tuned")),
    "export original": (("export", "{out}", "--layout", "original"), ("--checkpoint", "tuned")),
    "run": (("run", "demo", "--size", "toy", "--workers", 1, "--out", "{out}"), None),
    "study": (("study", "thesis-figure-4.3", "--size", "toy", "--workers", 1, "--out", "{out}"), None),
}  # fmt: skip
FILES = ("compare", "export original")
# States that the same command resumes from, below or beside the output.
STATES = {"pictures", ".out.pictures", ".out.unfinished", "frames"}


@pytest.fixture(scope="module")
def mounted(tmp_path_factory):
    """A disk of 256 MB, if this user may mount one."""
    folder = tmp_path_factory.mktemp("disk")
    words = ["mount", "-t", "tmpfs", "-o", "size=256m", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(words, capture_output=True, check=False).returncode:
        pytest.skip("mounting a disk is not allowed here")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def disk(mounted):
    """The same disk, empty."""
    yield mounted
    mount(mounted, "rw")
    subprocess.run(["find", str(mounted), "-mindepth", "1", "-delete"], check=True)


def mount(disk, how):
    subprocess.run(["mount", "-o", f"remount,{how}", str(disk)], check=True)


def fill(disk):
    with (disk / "filler").open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                pass


def call(words, good, out, capfd):
    """Runs a verb; returns exit code and what was said, the last line."""
    placed = [str(word).replace("{out}", str(out)) for word in words]
    os.chdir(good)
    capfd.readouterr()
    code = main(placed)
    said = capfd.readouterr().err
    assert "Traceback" not in said
    return code, said.splitlines()[-1] if said else ""


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "filler"
        and not STATES & set(path.relative_to(folder).parts)
    }  # fmt: skip


def temporary(folder):
    return [path for path in folder.rglob(".*") if path.suffix in (".part", ".old", ".roadstill-lock")]


@pytest.fixture(autouse=True)
def _stay(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("verb", VERBS)
def test_a_full_disk(good, disk, capfd, verb):
    words, other = VERBS[verb]
    out = disk / "out"
    if other is not None:
        assert call(words, good, out, capfd)[0] == 0
    before = contents(disk)
    fill(disk)
    code, line = call((*words, *(other or ())), good, out, capfd)
    assert code == 2, line
    assert "No space left on device" in line
    assert str(disk) in line
    assert contents(disk) == before
    assert temporary(disk) == []
    (disk / "filler").unlink()
    if verb not in ("world", "run", "study"):  # which take long
        assert call((*words, *(other or ())), good, out, capfd)[0] == 0
        assert temporary(disk) == []


@pytest.mark.parametrize("verb", VERBS)
def test_a_disk_that_cannot_be_written(good, disk, capfd, verb):
    words, _ = VERBS[verb]
    mount(disk, "ro")
    code, line = call(words, good, disk / "above" / "out", capfd)
    assert (code, "Read-only file system" in line) == (2, True), line
    mount(disk, "rw")
    (disk / "above" / "out").mkdir(parents=True)
    mount(disk, "ro")
    code, line = call(words, good, disk / "above" / "out", capfd)
    assert code == 2, line
    assert "Read-only file system" in line or (verb in FILES and "out is a folder; name a file" in line), line


@pytest.mark.parametrize("verb", VERBS)
def test_names_that_cannot_be(good, tmp_path, capfd, verb):
    words, _ = VERBS[verb]
    code, line = call(words, good, tmp_path / ("x" * 300), capfd)
    assert (code, "File name too long" in line) == (2, True), line
    (tmp_path / "file").write_text("precious")
    code, line = call(words, good, tmp_path / "file" / "out", capfd)
    assert (code, "file is a file; name another path" in line) == (2, True), line
    if verb not in FILES:
        code, line = call(words, good, tmp_path / "file", capfd)
        assert (code, "is a file; name a folder" in line or "is not an empty folder" in line) == (2, True), line
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("file", "precious")]


@pytest.mark.parametrize("verb", [verb for verb, (_, other) in VERBS.items() if other and verb not in FILES])
def test_folders_of_strangers_things(good, tmp_path, capfd, verb):
    """Only a product of its own kind may be replaced: an image set in place of one's documents would be a loss."""
    words, _ = VERBS[verb]
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "precious").write_text("kept")
    code, line = call(words, good, folder, capfd)
    if verb in ("index", "prepare"):  # which write into a folder, beside what is there
        assert code == 0
    else:
        assert (code, "documents holds other things" in line) == (2, True), line
        assert len(list(tmp_path.rglob("*"))) == 2
    assert (folder / "precious").read_text() == "kept"
