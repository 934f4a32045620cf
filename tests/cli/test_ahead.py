"""What is wrong by its words is said before anything heavy is imported, and nothing that is right is refused."""

import json
import shlex
import subprocess
import sys

import pytest
from pages import PAGES, blocks

from roadstill.cli import VERBS
from roadstill.cli.ahead import OPTIONS, check, table
from roadstill.cli.launch import processes
from roadstill.cli.listing import options_of_all
from roadstill.errors import UserError

HEAVY = ("torch", "numpy", "pyarrow", "PIL", "diffusers", "sklearn")
BY_THE_VERB = ["report none", "verify none", "doctor --repair"]
WRONG = {
    "prepare index sets --sizepx 64": "there is no option --sizepx; did you mean --size_px?",
    "generate out --per-clas 3": "there is no option --per-clas; did you mean --per_class?",
    "finetune latents out --steps 3": "there is no option --steps; did you mean --tuning.steps?",
    "finetune latents out --tuning.stepz 3": "there is no option --tuning.stepz; did you mean --tuning.steps?",
    "report run --qqq": "there is no option --qqq; see roadstill report --help",
    "generate out --per_class ten": "--per_class is ten; it must be a whole number; see roadstill generate --help",
    "generate out --which=best": "--which is best; it must be ema or trained; see roadstill generate --help",
    "world out --drives 0": "--drives is 0; it must be a whole number, at least 1 and at most 100,000",
    "encode none out": "none does not exist; it should be an image set (a folder with set.json, made by prepare, ",
    "encode lone out": "lone/set.json does not exist; check the path or run the verb that makes it (prepare, select ",
    "finetune sets out": "sets holds several image sets, not latents, which encode makes",
    "train latents out": "latents holds latents, not an image set, which prepare, select or generate makes",
    "evaluate latents sets": "latents holds latents, not an agent, which train makes",
    "pretrain codec latents out": "latents holds latents, not an image set, which prepare, select or generate makes",
    "generate out --checkpoint latents": "latents holds latents, not a checkpoint, which finetune or pretrain makes",
    "pretrain agent latents out": "part is agent; it must be codec or denoiser; see roadstill pretrain --help",
    "run dmo": "there is no recipe 'dmo'; give a YAML file or one of ",
    "study thesis-tab": "there is no study 'thesis-tab'; give a recipe file or one of ",
    "run cifar10-table-4.1 --data nowhere": "data 'nowhere' does not exist; give its folder with --data",
    "study thesis-table-4.2 --data nowhere": "data 'nowhere' does not exist; give its folder with --data",
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with a few products, each known by one file."""
    for name in ("lone/thing", "sets/train/set.json", "latents/latents.json"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text("{}")
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("line", WRONG)
def test_what_is_wrong_is_said(line, folder):
    verb, *words = line.split()
    with pytest.raises(UserError) as found:
        check(verb, words)
    assert str(found.value).startswith(WRONG[line])


def test_nothing_heavy_is_imported_for_it(folder):
    code = (
        "import sys\nfrom roadstill.cli import main\n"
        f"for line in {[*WRONG, *BY_THE_VERB]!r}:\n    assert main(line.split()) == 2, line\n"
        f"heavy = {HEAVY!r}\nassert not set(heavy) & set(sys.modules), set(heavy) & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(done.stderr.splitlines()) == len([*WRONG, *BY_THE_VERB])


def commands():
    texts = [block.replace("\\\n", " ") for page in PAGES for block in blocks(page, "bash")]
    lines = [line.strip() for text in texts for line in text.splitlines()]
    return sorted({line for line in lines if line.startswith("roadstill ")})


@pytest.mark.parametrize("line", commands())
def test_no_command_of_the_documents_is_refused_by_its_options(line, monkeypatch):
    monkeypatch.setattr("roadstill.cli.ahead._require_inputs", lambda verb, values: None)
    monkeypatch.setattr("roadstill.cli.ahead._require_recipe", lambda verb, values: None)
    _, verb, *words = shlex.split(line, comments=True)
    check(verb, processes(words)[0])


@pytest.mark.parametrize(
    "line",
    [
        "finetune latents out --tuning.ema_decay 0.9",
        "finetune latents out --tuning.network.init_args.depth 2",
        "finetune latents out --tuning.adapters+ x",
        "generate out --per-class 0x3 --seed null --which null",
        "generate out --sampling.guidance inf --checkpoint roadstill/edm-cifar10",
        "encode --help",
        "encode none out --print_config",
        "distil --list",
        "index a.csv out --csv.decimal ,",
        "run recipe.yaml --data my-own-thing",
        "generate out --processes 2 --trust",
        "select none out --from_index",
        "world out --config options.yaml",
    ],
)
def test_what_the_parser_may_take_is_not_refused(line, folder, tmp_path):
    (tmp_path / "options.yaml").write_text("drives: 3")
    (tmp_path / "recipe.yaml").write_text("source: my_sources.Own")
    verb, *words = line.split()
    check(verb, words)


def test_the_table_is_what_the_verbs_take():
    assert json.loads(OPTIONS.read_text(encoding="utf-8")) == options_of_all(), "run python tools/write_options.py"
    assert list(table()) == list(VERBS)
