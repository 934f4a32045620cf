"""What a user has who installs the wheel: the command, the examples of the documents, and types.

Built from a copy, since a build leaves files beside the sources, and offline.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from pages import ROOT, blocks

import roadstill


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package as the wheel installs it, and nothing else."""
    folder = tmp_path_factory.mktemp("wheel")
    copy, wheels, site = folder / "copy", folder / "wheels", folder / "site"
    shutil.copytree(ROOT / "src", copy / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(ROOT / name, copy)
    offline = ("--quiet", "--disable-pip-version-check", "--no-deps", "--no-index")
    pip("wheel", str(copy), *offline, "--no-build-isolation", "-w", str(wheels))
    (wheel,) = wheels.iterdir()
    pip("install", str(wheel), *offline, "--target", str(site))
    return site


def pip(*arguments: str) -> None:
    done = subprocess.run([sys.executable, "-m", "pip", *arguments], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


def run(site: Path, folder: Path, *command: str) -> "subprocess.CompletedProcess[str]":
    """Runs a command in a folder with the installed package first on Python's path."""
    environment = os.environ | {"PYTHONPATH": str(site)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)


def test_the_command_is_the_wheel_s(site, tmp_path):
    done = run(site, tmp_path, str(site / "bin" / "roadstill"), "--version")
    assert (done.returncode, done.stdout) == (0, f"roadstill {roadstill.__version__}\n"), done.stderr
    assert (site / f"roadstill-{roadstill.__version__}.dist-info").is_dir()
    done = run(site, tmp_path, sys.executable, "-c", "import roadstill; print(roadstill.__file__)")
    assert Path(done.stdout.strip()) == site / "roadstill" / "__init__.py"


def test_every_file_that_the_package_reads_is_in_the_wheel(site):
    def wanted(folder: Path) -> set[str]:
        files = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc")
        return {str(path.relative_to(folder)) for path in files}

    assert wanted(site / "roadstill") == wanted(ROOT / "src" / "roadstill")


def test_examples_of_extend_run_in_order(site, tmp_path):
    script = f"import roadstill\nassert roadstill.__file__ == {str(site / 'roadstill' / '__init__.py')!r}\n"
    page = ROOT / "docs" / "extend.md"
    for block in blocks(page, "yaml") + blocks(page, "python"):
        name = re.match(r"# (\w+\.(py|yaml))\n", block)
        if name:
            assert len(block.splitlines()) < 50
            (tmp_path / name.group(1)).write_text(block, encoding="utf-8")
        else:
            script += block + "\n"
    (tmp_path / "script.py").write_text(script, encoding="utf-8")
    done = run(site, tmp_path, sys.executable, "script.py")
    assert done.returncode == 0, done.stderr


CLIENT = """
from pathlib import Path

import roadstill
from roadstill import AgentConfig, ImageSet, Verdict, open_imageset


def distil(images: ImageSet, out: Path) -> ImageSet:
    codec = roadstill.load_codec()
    latents = roadstill.encode_imageset(images, codec, out / "latents")
    config = roadstill.FinetuneConfig(steps=10, adapters=(roadstill.DiffFit(), roadstill.LoRA(rank=4)))
    tuned = roadstill.finetune(latents, base=None, out=out / "tuned", config=config, seed=0)
    sampling = roadstill.Sampling(steps=5)
    denoiser = roadstill.load_denoiser(tuned)
    return roadstill.generate(denoiser, codec, per_class=2, seed=0, config=sampling, out=out / "small")


def judge(runs: Path, test: ImageSet) -> dict[str, Verdict]:
    agent = roadstill.train_agent(test, config=AgentConfig(steps=3), seed=0)
    print(roadstill.evaluate(agent, test).balanced_accuracy + 1.0)
    return dict(roadstill.compare(roadstill.open_runs(runs), baseline="random").verdicts)


distil(open_imageset("train"), Path("out"))
judge(Path("runs"), open_imageset("test"))
"""
WRONG = {
    "roadstill.opem_imageset": "attr-defined",
    "from roadstill import FrameTabel": "attr-defined",
    "AgentConfig(steps='many')": "arg-type",
    "roadstill.FinetuneConfig(stepz=3)": "call-arg",
    "open_imageset(3)": "arg-type",
    "text: str = open_imageset('test').num_classes": "assignment",
    "open_imageset('test').labelz": "attr-defined",
}
# Types of others' packages are not what is tested, and torch alone would take most of a minute.
MYPY = """
[mypy]
strict = true
[mypy-torch.*,numpy.*,pyarrow.*,PIL.*,diffusers.*,transformers.*,accelerate.*,peft.*,matplotlib.*,safetensors.*]
follow_imports = skip
"""


def types(site: Path, folder: Path, program: str) -> list[str]:
    """The complaints of mypy about a program that uses the installed package."""
    assert (site / "roadstill" / "py.typed").is_file(), "mypy would look for the package elsewhere"
    (folder / "client.py").write_text(program, encoding="utf-8")
    (folder / "mypy.ini").write_text(MYPY, encoding="utf-8")
    done = run(site, folder, sys.executable, "-m", "mypy", "client.py", "--no-error-summary")
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout.splitlines()


def test_a_correct_program_has_correct_types_and_a_wrong_one_has_not(site, tmp_path):
    assert types(site, tmp_path, CLIENT) == []
    wrong = CLIENT + "\n".join(WRONG) + "\n"
    first = len(CLIENT.splitlines()) + 1
    found = [re.fullmatch(r"client\.py:(\d+): error: .*\[(.+)\]", line) for line in types(site, tmp_path, wrong)]
    told = [(int(each[1]), each[2]) for each in found if each]
    assert told == list(enumerate(WRONG.values(), first))
