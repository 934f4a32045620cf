"""Training a generator: it learns, resumes to the bit, stores little, and loads strictly."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from broken import Killed, run_broken
from made import unsealed
from safetensors.torch import load_file, save_file

from roadstill.adapters import DiffFit, Full, LoRA
from roadstill.codecs.latents import LatentStore, open_latents
from roadstill.codecs.shards import write_latents
from roadstill.denoisers.base import Sampling
from roadstill.errors import UserError
from roadstill.generator import finetune as loop
from roadstill.generator import step as stepping
from roadstill.generator.assembly import criteria_of, schedule_of
from roadstill.generator.checkpoints import export_base, load_denoiser
from roadstill.generator.config import Ema, FinetuneConfig, Labels, Minimax, Term
from roadstill.generator.finetune import finetune
from roadstill.learning.loops import balanced_rows, rate_at, rows_of_step
from roadstill.names import Trust, allowing
from roadstill.networks.dit import DiT
from roadstill.networks.interchange import to_diffusers
from roadstill.networks.kinds import NetworkConfig
from roadstill.runs import read_metrics, without_seal
from roadstill.schedules import linear, spoon_cosine

pytestmark = pytest.mark.usefixtures("trusted")

TINY = NetworkConfig(hidden_size=16, depth=2, num_heads=2)
SCRATCH = {"network": TINY, "adapters": (Full(),), "batch_size": 8, "log_every": 2, "save_every": 2}


def store_at(folder, num=24, classes=("not_brake", "brake"), std=0.1, codec="codec0", sources=()) -> LatentStore:
    """A latent store without pictures: two kinds of latents, one class twice as frequent."""
    rng = np.random.default_rng(0)
    labels = np.sort(np.arange(num) % 3 % len(classes)).astype(np.int64)
    mean = rng.normal(size=(num, 4, 4, 4)).astype(np.float16) * 0.3 + (2 * labels[:, None, None, None] - 1)
    shard = {"mean": torch.from_numpy(mean).half()}
    about = {"codec": codec, "classes": classes}
    write_latents(folder, [(shard, std)], labels, class_names=classes, shard_rows=num, about=about, sources=sources)
    return open_latents(folder)


@pytest.fixture
def latents(tmp_path):
    return store_at(tmp_path / "latents")


@pytest.fixture
def base(latents, tmp_path):
    """A small trained generator as one file."""
    checkpoint = finetune(
        latents, base=None, out=tmp_path / "scratch", config=FinetuneConfig(**SCRATCH, steps=4), seed=0
    )
    return export_base(checkpoint, tmp_path / "base.safetensors")


def test_what_a_generator_stems_from_travels_with_it(tmp_path):
    config = FinetuneConfig(**SCRATCH, steps=2)
    real = store_at(tmp_path / "real", sources=("navsim",))
    assert real.sources == ("navsim",)
    scratch = finetune(real, base=None, out=tmp_path / "scratch", config=config, seed=0)
    base = export_base(scratch, tmp_path / "base.safetensors")
    assert load_denoiser(scratch).origin.sources == load_denoiser(base).origin.sources == ("navsim",)
    tuning = FinetuneConfig(steps=2, batch_size=8, adapters=(DiffFit(),))
    for name, sources, expected in (("world", ("world",), ("navsim", "world")), ("old", (), ("navsim", "unrecorded"))):
        store = store_at(tmp_path / name, sources=sources)
        tuned = finetune(store, base=base, out=tmp_path / f"{name}-tuned", config=tuning, seed=0)
        assert load_denoiser(tuned).origin.sources == expected
    assert load_denoiser().origin.sources == ("roadstill-weights",)
    assert "sources" not in (tmp_path / "old" / "latents.json").read_text()


FULL_OF_STATE = {
    "steps": 20, "batch_size": 8, "log_every": 5, "save_every": 10, "minimax": Minimax(0.1, 0.1, 16),
    "schedule": "progressive:6,4,2", "lr_decay": "cosine", "warmup_steps": 3, "clip": 1.0,
    "weight_decay": 0.01, "gradient_accumulation": 2,
}  # fmt: skip


@pytest.mark.parametrize(
    ("precision", "learning"),
    [
        ("no", {"adapters": (DiffFit(), LoRA(rank=2))}),
        ("bf16", {"adapters": (DiffFit(), LoRA(rank=2))}),
        ("no", {"adapters": (Full(),), "optimiser": "muon"}),
    ],
)
def test_a_killed_run_equals_an_unbroken_one_bit_for_bit(latents, base, tmp_path, monkeypatch, precision, learning):
    monkeypatch.setattr(
        "roadstill.learning.precision.has_bfloat16", lambda kind: True
    )  # slower without, but it computes
    config = FinetuneConfig(**FULL_OF_STATE, **learning, mixed_precision=precision)
    arguments = {"base": base, "config": config, "seed": 3}
    # The resume file is removed at the end: keep it, it holds optimiser and memories.
    monkeypatch.setattr(loop, "_drop_states", lambda out: None)
    finetune(latents, out=tmp_path / "whole", **arguments)
    torch.manual_seed(99)  # the global generator must have no say
    run_broken(monkeypatch, 11, latents, out=tmp_path / "broken", **arguments)
    for name in ("trained.safetensors", "resume-0.safetensors"):
        whole, broken = load_file(tmp_path / "whole" / name), load_file(tmp_path / "broken" / name)
        assert whole.keys() == broken.keys()
        different = [key for key in whole if not torch.equal(whole[key], broken[key])]
        assert not different, f"{name}: {different}"
    assert any(key.startswith("criterion/diversity") for key in whole)
    assert any(key.startswith("optimizer/") for key in whole)
    assert any(key.endswith("/momentum") for key in whole) == (config.optimiser == "muon")
    steps = [row["step"] for row in read_metrics(tmp_path / "broken" / "metrics.jsonl")]
    assert steps == [5, 10, 15, 20]


def test_another_seed_or_setting_does_not_continue_a_run(latents, tmp_path, monkeypatch):
    config = FinetuneConfig(**SCRATCH, steps=6)
    arguments = {"base": None, "out": tmp_path / "run", "config": config}
    with monkeypatch.context() as patch:
        patch.setattr(stepping, "_average", lambda *a: (_ for _ in ()).throw(Killed) if a[3] == 4 else None)
        with pytest.raises(Killed):
            finetune(latents, seed=0, **arguments)
    with pytest.raises(UserError, match="other settings"):
        finetune(latents, seed=1, **arguments)
    finetune(latents, seed=0, **arguments)
    with pytest.raises(UserError, match="another checkpoint"):
        finetune(latents, seed=1, **arguments)


def test_metrics_of_a_resumed_run_are_those_of_an_unbroken_one(latents, tmp_path, monkeypatch):
    """A line is the mean of its steps, also of those before a state that was saved between two lines."""
    config = FinetuneConfig(**SCRATCH | {"log_every": 5, "save_every": 3, "steps": 12}, minimax=Minimax(0.1, 0.1))
    arguments = {"base": None, "config": config, "seed": 0}
    finetune(latents, out=tmp_path / "whole", **arguments)
    run_broken(monkeypatch, 8, latents, out=tmp_path / "broken", **arguments)
    whole, broken = (read_metrics(tmp_path / name / "metrics.jsonl") for name in ("whole", "broken"))
    for row in (*whole, *broken):
        del row["images_per_s"]
    assert whole == broken
    assert [row["step"] for row in whole] == [5, 10, 12]


@pytest.mark.parametrize("killed", ["save_checkpoint", "Stage.finish", "_drop_states"])
def test_a_run_that_is_killed_after_its_last_step_is_finished_and_leaves_no_state(
    latents, tmp_path, monkeypatch, killed
):
    arguments = {"base": None, "config": FinetuneConfig(**SCRATCH | {"save_every": 9}, steps=4), "seed": 0}
    finetune(latents, out=tmp_path / "whole", **arguments)
    with monkeypatch.context() as patch:
        patch.setattr(f"roadstill.generator.finetune.{killed}", lambda *a, **k: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            finetune(latents, out=tmp_path / "broken", **arguments)
    assert (tmp_path / "broken" / "resume-0.safetensors").exists()
    finetune(latents, out=tmp_path / "broken", **arguments)
    whole, broken = ({path.name for path in (tmp_path / name).iterdir()} for name in ("whole", "broken"))
    assert whole == broken == {"config.json", "trained.safetensors", "metrics.jsonl", "stage.json"}
    assert len({(tmp_path / name / "trained.safetensors").read_bytes() for name in ("whole", "broken")}) == 1


def test_processes_that_were_killed_at_different_saves_go_on_from_the_last_common_one(tmp_path, monkeypatch):
    """What each process does, with its own states on disk and the steps of all others gathered."""
    loaded = []
    for mine, others, common in (
        ([6, 4], [[4, 0]], 4),
        ([4], [[6, 4]], 4),
        ([6, 4], [[6, 0]], 6),
        ([4], [[0, 0]], 0),
        ([], [[4, 0]], 0),
        ([6], [[4, 0]], 0),
    ):
        found = dict(zip(("resume-0.safetensors", "resume-0-before.safetensors"), mine, strict=False))
        monkeypatch.setattr(
            loop, "saved_state", lambda path, key, what, found=found: ({"of": found[path.name]}, found[path.name])
            if path.name in found
            else None,
        )  # fmt: skip

        def gather(steps, others=others):
            return torch.cat([steps, *(torch.tensor(each) for each in others)])

        accelerator = SimpleNamespace(device="cpu", gather=gather)
        state = loop._State(tmp_path / "resume-0.safetensors", "key", SimpleNamespace(accelerator=accelerator))
        monkeypatch.setattr(loop._State, "take", lambda state, tensors: loaded.append(tensors["of"]))
        assert state.restore() == common
    assert loaded == [4, 4, 6]


def test_a_finished_run_is_not_run_again(latents, tmp_path, monkeypatch):
    arguments = {"base": None, "out": tmp_path / "run", "config": FinetuneConfig(**SCRATCH, steps=2), "seed": 0}
    finetune(latents, **arguments)
    assert not list((tmp_path / "run").glob("resume*"))
    monkeypatch.setattr(stepping, "_batch", None)  # would fail if called
    assert finetune(latents, **arguments) == tmp_path / "run"


def test_training_lowers_the_loss_and_the_label_matters(latents, tmp_path):
    settings = SCRATCH | {"steps": 250, "batch_size": 16, "learning_rate": 3e-3, "log_every": 50, "save_every": 200}
    out = finetune(latents, base=None, out=tmp_path / "run", config=FinetuneConfig(**settings), seed=0)
    losses = [row["mse"] for row in read_metrics(out / "metrics.jsonl")]
    assert losses[-1] < 0.6 * losses[0]
    denoiser = load_denoiser(out)
    clean, labels = latents.draw(range(len(latents))), torch.from_numpy(latents.labels)
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    t = torch.full((len(clean),), 700)  # so noisy that the label says more than the picture
    low, high = (denoiser.estimate_given(clean, labels * 0 + y, t=t, noise=noise).clean.mean() for y in (0, 1))
    assert low + 0.1 < high  # the classes' latents lie around -1 and +1


def test_a_checkpoint_holds_the_trained_tensors_and_nothing_else(latents, base, tmp_path):
    config = FinetuneConfig(steps=2, batch_size=4, adapters=(LoRA(rank=2),))
    out = finetune(latents, base=base, out=tmp_path / "run", config=config, seed=0)
    names = set(load_file(out / "trained.safetensors"))
    trained = {name for name in names if not name.startswith(("ema/", "schedule/", "latents/"))}
    assert trained
    assert all(".lora_" in name for name in trained)
    assert {"ema/" + name for name in trained} | {
        "schedule/betas",
        "schedule/timesteps",
        "latents/class_mean",
    } == names - trained
    assert {path.suffix for path in out.iterdir()} <= {".safetensors", ".json", ".jsonl"}
    about = json.loads((out / "config.json").read_text())
    assert about["latents"] == latents.digest
    assert about["base"]["digest"] == load_denoiser(base).origin.digest


@pytest.mark.parametrize("adapters", [(DiffFit(),), (LoRA(rank=2),), (DiffFit(), LoRA(rank=2)), (Full(),)])
def test_loading_gives_the_trained_network_again(latents, base, tmp_path, adapters):
    config = FinetuneConfig(steps=3, batch_size=4, adapters=adapters, ema=Ema("reference", 0.5))
    out = finetune(latents, base=base, out=tmp_path / "run", config=config, seed=0)
    z, t, y = torch.randn(2, 4, 4, 4), torch.tensor([3, 500]), torch.tensor([0, 1])
    outputs = [load_denoiser(path).network(z, t, y) for path in (base, out)]
    raw = load_denoiser(out, which="trained").network(z, t, y)
    assert not torch.equal(outputs[0], outputs[1])
    assert not torch.equal(outputs[1], raw)
    # One file with everything folded in says the same, within fp16.
    alone = load_denoiser(export_base(out, tmp_path / "alone.safetensors"))
    torch.testing.assert_close(alone.network(z, t, y), outputs[1], atol=5e-3, rtol=5e-3)
    assert alone.origin.class_names == ("not_brake", "brake")


def test_the_last_phase_of_the_schedule_travels_with_the_checkpoint(latents, base, tmp_path):
    config = FinetuneConfig(steps=4, batch_size=4, schedule="progressive:linear,6,2")
    out = finetune(latents, base=base, out=tmp_path / "run", config=config, seed=0)
    assert torch.equal(load_denoiser(out).betas, spoon_cosine(2))
    assert torch.equal(load_denoiser(base).betas, linear())


def test_new_classes_get_rows_near_the_mean_and_the_null_row_stays(latents, base, tmp_path):
    three = store_at(tmp_path / "three", classes=("left", "straight", "right"))
    with pytest.raises(UserError, match=r"labels\.init: mean"):
        finetune(three, base=base, out=tmp_path / "no", config=FinetuneConfig(steps=1), seed=0)
    config = FinetuneConfig(
        steps=1, learning_rate=0.0, batch_size=6, labels=Labels(init="mean"), adapters=(LoRA(rank=2),)
    )
    out = finetune(three, base=base, out=tmp_path / "run", config=config, seed=0)
    old = load_denoiser(base).network.y_embedder.embedding_table.weight
    new = load_denoiser(out).network.y_embedder.embedding_table.weight
    assert new.shape == (4, 16)
    assert torch.equal(new[-1], old[-1])
    assert (new[:3] - old[:-1].mean(0)).abs().max() < old[:-1].std()
    assert not torch.equal(new[0], new[1])
    assert "y_embedder.embedding_table.weight" in load_file(out / "trained.safetensors")


def test_label_rows_choose_rows_of_the_base(latents, base, tmp_path):
    turned = store_at(tmp_path / "turned", classes=("brake", "not_brake"))
    config = FinetuneConfig(steps=1, batch_size=4, labels=Labels(rows=(1, 0)))
    out = finetune(turned, base=base, out=tmp_path / "run", config=config, seed=0)
    assert load_denoiser(out).label_rows == (1, 0)
    # What stands on it must name the same rows again.
    plain = FinetuneConfig(steps=1, batch_size=4)
    with pytest.raises(UserError, match=r"'brake' would take the row of another class; give labels.rows \[1, 0\]"):
        finetune(turned, base=out, out=tmp_path / "more", config=plain, seed=0)
    finetune(turned, base=out, out=tmp_path / "more", config=config, seed=0)


@pytest.mark.parametrize("rows", [None, (0, 1)])
def test_names_that_the_base_knows_by_other_rows_are_refused_with_the_right_ones(base, tmp_path, rows):
    turned = store_at(tmp_path / "turned", classes=("brake", "not_brake"))
    config = FinetuneConfig(steps=1, batch_size=4, labels=Labels(rows=rows))
    with pytest.raises(UserError, match=r"in another order: 'brake' would take .*; give labels.rows \[1, 0\]"):
        finetune(turned, base=base, out=tmp_path / "run", config=config, seed=0)
    mean = FinetuneConfig(steps=1, batch_size=4, labels=Labels(init="mean"))
    finetune(turned, base=base, out=tmp_path / "run", config=mean, seed=0)
    finetune(store_at(tmp_path / "new", classes=("a", "b")), base=base, out=tmp_path / "other", config=config, seed=0)


def test_the_base_may_move_but_not_change(latents, base, tmp_path):
    out = finetune(latents, base=base, out=tmp_path / "run", config=FinetuneConfig(steps=1, batch_size=4), seed=0)
    moved = base.rename(tmp_path / "moved.safetensors")
    with pytest.raises(UserError, match="base"):
        load_denoiser(out)
    load_denoiser(out, base=moved)
    other = SCRATCH | {"steps": 2}
    checkpoint = finetune(latents, base=None, out=tmp_path / "other", config=FinetuneConfig(**other), seed=5)
    export_base(checkpoint, base)
    with pytest.raises(UserError, match="was trained on base"):
        load_denoiser(out)


def test_wrong_files_are_named(latents, base, tmp_path):
    tensors = load_file(base)
    (tmp_path / "bad").mkdir()
    for damage, message in (
        ({k: v for k, v in tensors.items() if "final" not in k}, "missing"),
        (tensors | {"more": torch.zeros(1)}, "unexpected"),
        ({k: v for k, v in tensors.items() if "schedule" not in k}, "no noise schedule"),
        (tensors | {"x_embedder.proj.bias": torch.full((16,), float("inf"))}, "finite"),
    ):
        from safetensors import safe_open

        with safe_open(base, "pt") as file:
            about = without_seal(json.loads(file.metadata()["roadstill"]), "")
        del about["tensors"]  # the digest, as in files of older versions
        save_file(damage, tmp_path / "bad.safetensors", {"roadstill": json.dumps(about)})
        with pytest.raises(UserError, match=message):
            load_denoiser(tmp_path / "bad.safetensors")
    with pytest.raises(UserError, match="empty"):
        load_denoiser(tmp_path / "bad")
    with pytest.raises(UserError, match="choose ema or trained"):
        load_denoiser(base, which="both")
    out = finetune(
        latents,
        base=base,
        out=tmp_path / "no_ema",
        config=FinetuneConfig(steps=1, batch_size=4, ema=Ema("off")),
        seed=0,
    )
    load_denoiser(out, which="trained")
    with pytest.raises(UserError, match="without a moving average"):
        load_denoiser(out)
    foreign = store_at(tmp_path / "foreign", codec="codec1")
    with pytest.raises(UserError, match="encode with the base's codec"):
        finetune(foreign, base=base, out=tmp_path / "x", config=FinetuneConfig(steps=1), seed=0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 0}, "steps is 0"),
        ({"lr_decay": "linear"}, "lr_decay is 'linear'; choose none or cosine"),
        ({"batch_size": 9, "gradient_accumulation": 2}, "parts"),
    ],
)
def test_a_configuration_that_cannot_work_is_refused_at_once(settings, message):
    with pytest.raises(UserError, match=message):
        FinetuneConfig(**settings)


@pytest.mark.parametrize("schedule", ["quadratic", "spoon_cosine:two", "progressive:", "os.nothing"])
def test_schedules_are_checked(latents, base, tmp_path, schedule):
    config = FinetuneConfig(steps=1, batch_size=4, schedule=schedule)
    if schedule == "progressive:":  # the thesis' phases
        assert schedule_of(config).phases == (6, 5, 4, 3, 2)
        return
    with pytest.raises(UserError, match="schedule"):
        finetune(latents, base=base, out=tmp_path / "run", config=config, seed=0)


@pytest.mark.parametrize(
    ("text", "phases", "powers"),
    [
        ("progressive:thesis", 5, {0: 6, 199: 6, 200: 5, 999: 2}),
        ("progressive:drivedit", 6, {0: "linear", 166: "linear", 167: 6, 999: 2}),
        ("progressive:thesis@50", 5, {0: 6, 49: 6, 50: 5, 200: 2, 999: 2}),
        ("progressive:linear,2@100", 2, {99: "linear", 100: 2}),
    ],
)
def test_progressive_phases_take_equal_shares_or_tau_steps(text, phases, powers):
    schedule = schedule_of(FinetuneConfig(steps=1000, schedule=text))
    assert len(schedule.phases) == phases
    for step, power in powers.items():
        wanted = linear() if power == "linear" else spoon_cosine(power)
        assert torch.equal(schedule.at(step / 1000).betas, wanted), step


def test_phases_longer_than_the_training_are_refused():
    with pytest.raises(UserError, match="leave nothing for the last of 5"):
        schedule_of(FinetuneConfig(steps=1000, schedule="progressive:thesis@250"))


def test_checkpointed_blocks_learn_the_same(latents, base, tmp_path):
    saved = []
    for on in (False, True):
        config = FinetuneConfig(steps=3, batch_size=4, gradient_checkpointing=on)
        out = finetune(latents, base=base, out=tmp_path / str(on), config=config, seed=0)
        saved.append(load_file(out / "trained.safetensors"))
    for name, tensor in saved[0].items():
        torch.testing.assert_close(tensor, saved[1][name], rtol=1e-5, atol=1e-6)


def test_trackers_get_the_settings_and_every_line(latents, base, tmp_path, monkeypatch):
    from accelerate import tracking

    told = []

    class Notebook(tracking.GeneralTracker):
        name, requires_logging_directory = "notebook", True

        def __init__(self, run_name, logging_dir, **more):
            super().__init__()
            self.place = (run_name, str(logging_dir))

        @property
        def tracker(self):
            return told

        def store_init_configuration(self, values):
            told.append((self.place, values["learning_rate"]))

        def log(self, values, step=None, **more):
            told.append((step, sorted(values)))

        def finish(self):
            told.append("finished")

    monkeypatch.setitem(tracking.LOGGER_TYPE_TO_CLASS, "notebook", Notebook)
    config = FinetuneConfig(steps=3, batch_size=4, log_every=2, trackers=("notebook",))
    finetune(latents, base=base, out=tmp_path / "run", config=config, seed=0)
    values = ["diffusion", "images_per_s", "learning_rate", "mse"]
    assert told == [(("run", str(tmp_path / "run")), 1e-3), (2, values), (3, values), "finished"]


@pytest.mark.parametrize("name", ["wandb", "paper"])
def test_a_tracker_that_is_not_there_is_named(latents, base, tmp_path, name):
    config = FinetuneConfig(steps=1, batch_size=4, trackers=(name,))
    with pytest.raises(UserError, match=name):
        finetune(latents, base=base, out=tmp_path / "run", config=config, seed=0)


class Shrink:
    """A user's own criterion."""

    def __init__(self, power=2):
        self.power = power

    def __call__(self, estimate, clean, label):
        return estimate.abs().pow(self.power).mean()


def shrink(estimate, clean, label, power=2):
    return Shrink(power)(estimate, clean, label)


@pytest.mark.parametrize("name", ["Shrink", "shrink"])
def test_a_criterion_is_a_class_or_a_function_by_its_dotted_path(latents, base, tmp_path, monkeypatch, name):
    monkeypatch.setitem(sys.modules, "my_criteria", SimpleNamespace(Shrink=Shrink, shrink=shrink))
    first = {}
    for power in (2, 4):
        term = 0.5 if power == 2 else Term(0.5, {"power": 4})
        config = FinetuneConfig(steps=1, batch_size=4, log_every=1, criteria={f"my_criteria.{name}": term})
        out = finetune(latents, base=base, out=tmp_path / str(power), config=config, seed=0)
        first[power] = read_metrics(out / "metrics.jsonl")[0][f"my_criteria/{name}"]
    assert 0 < first[4] != first[2] > 0


@pytest.mark.parametrize(
    ("path", "settings", "says"),
    [
        ("Nothing", {}, "no 'my_criteria.Nothing'"),
        ("Shrink", {"size": 1}, "unexpected keyword argument 'size'"),
        ("shrink", {"size": 1}, "unexpected keyword argument 'size'"),
        ("nothing", {}, "too many positional arguments"),
        ("number", {}, "not a callable"),
    ],
)
def test_what_is_no_criterion_is_refused_in_one_line(monkeypatch, path, settings, says):
    module = SimpleNamespace(Shrink=Shrink, shrink=shrink, nothing=lambda estimate: estimate.sum(), number=3)
    monkeypatch.setitem(sys.modules, "my_criteria", module)
    with pytest.raises(UserError, match=says) as refused:
        criteria_of(FinetuneConfig(criteria={f"my_criteria.{path}": Term(0.5, settings)}))
    assert "of a function (estimate, clean, label) -> scalar, or of a class of such objects" in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("criterion", "says"),
    [
        (lambda estimate, clean, label: estimate.flatten(1).mean(1), r"a tensor \(4,\)"),
        (lambda estimate, clean, label: 0.5, "a float"),
    ],
)
def test_a_criterion_that_returns_no_scalar_is_named(latents, base, tmp_path, monkeypatch, criterion, says):
    monkeypatch.setitem(sys.modules, "my_criteria", SimpleNamespace(mine=criterion))
    config = FinetuneConfig(steps=1, batch_size=4, criteria={"my_criteria.mine": 0.5})
    with pytest.raises(UserError, match=f"criterion 'my_criteria.mine' returned {says}; it should be a scalar tensor"):
        finetune(latents, base=base, out=tmp_path / "run", config=config, seed=0)


class Spoilt:
    """A criterion that is no number from its fourth call on."""

    calls = 0

    def __call__(self, estimate, clean, label):
        Spoilt.calls += 1
        return estimate.mean() * (float("nan") if Spoilt.calls > 3 else 0.0)


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_what_was_saved(latents, base, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "my_criteria", SimpleNamespace(Spoilt=Spoilt))
    config = FinetuneConfig(steps=6, batch_size=4, save_every=2, criteria={"my_criteria.Spoilt": 0.5})
    arguments = {"base": base, "config": config, "seed": 0}
    monkeypatch.setattr(Spoilt, "calls", -99)
    whole = finetune(latents, out=tmp_path / "whole", **arguments)
    monkeypatch.setattr(Spoilt, "calls", 0)
    with pytest.raises(UserError, match=r"^step 4: the loss is not finite \(my_criteria/Spoilt; rows \d+, .*\)"):
        finetune(latents, out=tmp_path / "broken", **arguments)
    assert json.loads((tmp_path / "broken" / "config.json").read_text())["step"] == 2
    kept = load_file(tmp_path / "broken" / "trained.safetensors")
    assert all(tensor.isfinite().all() for tensor in kept.values())
    monkeypatch.setattr(Spoilt, "calls", -99)
    again = finetune(latents, out=tmp_path / "broken", **arguments)
    assert (whole / "trained.safetensors").read_bytes() == (again / "trained.safetensors").read_bytes()


def test_weights_that_the_last_step_spoilt_are_not_saved(latents, base, tmp_path):
    config = FinetuneConfig(steps=1, batch_size=4, learning_rate=1e30, weight_decay=1e30)
    with pytest.raises(UserError, match=r"^step 1: \d+ of \d+ tensors are not finite, the first "):
        finetune(latents, base=base, out=tmp_path / "run", config=config, seed=0)
    assert not (tmp_path / "run" / "trained.safetensors").exists()


def test_rows_visit_everything_once_per_epoch_and_classes_take_turns():
    seen = np.concatenate([rows_of_step(10, 4, seed=0, step=step) for step in range(5)])
    assert sorted(seen[:10]) == sorted(seen[10:]) == list(range(10))
    assert not np.array_equal(seen[:10], seen[10:])
    labels = np.array([0] * 9 + [2] * 3, np.int64)
    members = [np.flatnonzero(labels == label) for label in (0, 2)]
    rows = np.concatenate([balanced_rows(members, 4, seed=0, step=step) for step in range(6)])
    assert (labels[rows] == 2).sum() == 12
    assert np.bincount(rows)[9:].tolist() == [4, 4, 4]


def test_the_learning_rate_rises_and_falls():
    rates = [rate_at(step, steps=10, warmup_steps=4, decay="cosine") for step in range(11)]
    assert rates[:5] == [0.2, 0.4, 0.6, 0.8, 1.0]
    assert rates[10] == 0.0
    assert rates == sorted(rates[:5]) + sorted(rates[5:], reverse=True)
    assert rate_at(9, steps=10, warmup_steps=0, decay="none") == 1.0


def test_the_moving_average_forgets_the_start_of_a_short_run():
    weights = (torch.ones(1),)
    left = {}
    for ema in ("warmup", "reference"):
        averaged = {"w": torch.zeros(1)}
        for step in range(200):
            stepping._average(averaged, ("w",), weights, step, Ema(ema))
        left[ema] = 1 - averaged["w"].item()
    assert left["warmup"] < 1e-6
    assert left["reference"] == pytest.approx(0.9999**200, rel=1e-3)


def test_two_processes_train_as_one(latents, by_one_and_by_two):
    """Half a batch in each of two processes is the batch in two parts of one."""
    code = (
        "import os, sys; from pathlib import Path\n"
        "from roadstill.generator.finetune import *; from roadstill.adapters import Full\n"
        "from roadstill.networks.kinds import NetworkConfig\n"
        "from roadstill.codecs.latents import *\n"
        "parts = 2 // int(os.environ.get('WORLD_SIZE', 1))\n"
        "network = NetworkConfig(hidden_size=16, depth=2, num_heads=2)\n"
        "config = FinetuneConfig(steps=4, batch_size=8, network=network, adapters=(Full(),), "
        "gradient_accumulation=parts)\n"
        "finetune(open_latents(sys.argv[1]), base=None, out=Path(sys.argv[2]), config=config, seed=0)\n"
    )
    one, two = (load_file(folder / "trained.safetensors") for folder in by_one_and_by_two(code, latents.root))
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, atol=1e-5, rtol=1e-5, msg=name)


def test_processes_that_do_not_find_each_other_are_noticed(latents, base, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(UserError, match="3 processes were started, but 1 work together"):
        finetune(latents, base=base, out=tmp_path / "run", config=FinetuneConfig(steps=1, batch_size=4), seed=0)


def test_a_base_that_predicts_v_is_tuned_on_another_schedule(latents, tmp_path):
    config = FinetuneConfig(**SCRATCH, steps=4, objective="v_prediction", min_snr=5.0)
    base = export_base(
        finetune(latents, base=None, out=tmp_path / "base", config=config, seed=0), tmp_path / "base.safetensors"
    )
    config = FinetuneConfig(steps=2, adapters=(LoRA(rank=2),), schedule="spoon_cosine:2", retime=True)
    tuned = load_denoiser(finetune(latents, base=base, out=tmp_path / "tuned", config=config, seed=0))
    assert tuned.objective == load_denoiser(base).objective == "v_prediction"
    assert not torch.equal(tuned.schedule.betas, load_denoiser(base).schedule.betas)
    drawn = tuned.generate(torch.tensor([0]), seeds=[1], sampling=Sampling(steps=3, solver="dpm"))
    assert drawn.isfinite().all()


def test_a_velocity_predictor_goes_the_same_road(monkeypatch, latents, tmp_path):
    scratch = FinetuneConfig(**SCRATCH, steps=6, objective="velocity", minimax=Minimax(0.01, 0.01))
    arguments = {"base": None, "config": scratch, "seed": 0}
    whole = finetune(latents, out=tmp_path / "whole", **arguments)
    broken = run_broken(monkeypatch, 4, latents, out=tmp_path / "broken", **arguments)
    one, other = (load_file(folder / "trained.safetensors") for folder in (whole, broken))
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert not any(name.startswith("schedule/") for name in one)
    base = export_base(whole, tmp_path / "base.safetensors")
    tuned = finetune(
        latents, base=base, out=tmp_path / "tuned", config=FinetuneConfig(steps=2, adapters=(LoRA(rank=2),)), seed=0
    )
    for path in (whole, base, tuned):
        denoiser = load_denoiser(path)
        assert denoiser.solvers[0] == "heun"
        sampling = Sampling(steps=2)
        assert denoiser.generate(torch.tensor([0]), seeds=[1], sampling=sampling).isfinite().all()
    with pytest.raises(UserError, match="velocity predictor has no noise schedule"):
        finetune(latents, base=base, out=tmp_path / "x", config=FinetuneConfig(schedule="cosine:2"), seed=0)


@pytest.fixture
def original():
    """A DiT of a published width with random weights, as others would bring it."""
    network = DiT(
        input_size=4, patch_size=2, in_channels=4, hidden_size=384, depth=2, num_heads=6, num_classes=7, seed=5
    )
    with torch.no_grad():
        network.final_layer.linear.weight.normal_(std=0.1, generator=torch.Generator().manual_seed(0))
    return network


@pytest.mark.parametrize("layout", ["pt", "ema", "safetensors", "diffusers"])
def test_weights_of_others_are_a_base(original, latents, tmp_path, layout):
    path, state = tmp_path / f"DiT.{'safetensors' if layout == 'safetensors' else 'pt'}", original.state_dict()
    if layout == "pt":
        torch.save(state, path)
    elif layout == "ema":
        torch.save({"model": {name: tensor * 0 for name, tensor in state.items()}, "ema": state}, path)
    elif layout == "safetensors":
        save_file(state, path)
    else:
        path = tmp_path / "DiT-tiny"
        to_diffusers(original).save_pretrained(path / "transformer")
    z, t, y = torch.randn(2, 4, 4, 4), torch.tensor([3, 900]), torch.tensor([6, 0])
    found = load_denoiser(path)
    torch.testing.assert_close(found.network(z, t, y), original(z, t, y), rtol=0, atol=1e-5)
    assert (found.guided_channels, found.solvers[0]) == (3, "ddpm")
    config = FinetuneConfig(steps=2, adapters=(DiffFit(), LoRA(rank=2)), labels=Labels(rows=(6, 2)))
    tuned = load_denoiser(finetune(latents, base=path, out=tmp_path / "out", config=config, seed=0))
    assert tuned.label_rows == (6, 2)
    assert json.loads((tmp_path / "out" / "config.json").read_text())["base"]["path"] == f"../{path.name}"


def test_sit_weights_are_told_apart_by_the_user(original, latents, tmp_path):
    torch.save(original.state_dict(), tmp_path / "SiT.pt")
    config = FinetuneConfig(steps=2, objective="velocity", labels=Labels(rows=(0, 1)))
    out = finetune(latents, base=tmp_path / "SiT.pt", out=tmp_path / "out", config=config, seed=0)
    assert load_denoiser(out).solvers[0] == "heun"
    with pytest.raises(UserError, match="predicts velocity, not noise"):
        load_denoiser(out, objective="noise")


def test_damaged_weights_of_others_are_one_clear_line(original, tmp_path):
    state = original.state_dict()
    files = {
        "missing.pt": {name: tensor for name, tensor in state.items() if name != "blocks.1.attn.qkv.bias"},
        "unexpected.pt": state | {"blocks.0.spare": torch.zeros(1)},
        "shape.pt": state | {"blocks.0.attn.proj.bias": torch.zeros(3)},
        "nothing.pt": {"step": 3},
        "code.pt": {"x_embedder.proj.weight": Path("a path is an object, not a tensor")},
    }
    for name, content in files.items():
        torch.save(content, tmp_path / name)
    (tmp_path / "cut.pt").write_bytes((tmp_path / "shape.pt").read_bytes()[:5000])
    for name, message in (
        ("missing.pt", r"blocks\.1\.attn\.qkv\.bias"),
        ("unexpected.pt", r"blocks\.0\.spare"),
        ("shape.pt", r"blocks\.0\.attn\.proj\.bias"),
        ("nothing.pt", "no named tensors"),
        ("code.pt", r"it names 'pathlib\.PosixPath'.*save the state dict alone"),
        ("cut.pt", "damaged or truncated"),
        ("none.pt", "does not exist"),
    ):
        with pytest.raises(UserError, match=message) as caught:
            load_denoiser(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_new_label_rows_start_from_the_rows_that_are_named(original, latents, tmp_path):
    torch.save(original.state_dict(), tmp_path / "DiT.pt")
    table = original.y_embedder.embedding_table.weight.detach()
    config = FinetuneConfig(steps=1, learning_rate=0.0, labels=Labels(init="mean", rows=(1, 4, 5)))
    out = finetune(latents, base=tmp_path / "DiT.pt", out=tmp_path / "out", config=config, seed=0)
    new = load_denoiser(out).network.y_embedder.embedding_table.weight
    assert new.shape == (3, 384)
    # A little noise tells the classes apart; the row for "no label" is the old one.
    for row in (0, 1):
        assert (new[row] - table[[1, 4, 5]].mean(0)).abs().max() < 0.5 * table[[1, 4, 5]].std()
    assert not torch.equal(new[0], new[1])
    torch.testing.assert_close(new[2], table[-1])
    config = FinetuneConfig(steps=1, labels=Labels(init="mean", rows=(1, 7)))
    with pytest.raises(UserError, match="beyond the base's 7"):
        finetune(latents, base=tmp_path / "DiT.pt", out=tmp_path / "x", config=config, seed=0)


def test_the_criteria_may_compare_what_the_text_says(latents, base, tmp_path):
    files = []
    for estimate in ("clean", "zt_minus_eps"):
        config = FinetuneConfig(steps=3, batch_size=8, minimax=Minimax(0.5, estimate=estimate), log_every=3)
        out = finetune(latents, base=base, out=tmp_path / estimate, config=config, seed=0)
        files.append(read_metrics(out / "metrics.jsonl")[-1])
    assert files[0]["representativeness"] != files[1]["representativeness"]
    assert all(0 < each["representativeness"] < 1 for each in files)


def test_a_strangers_checkpoint_fetches_and_imports_nothing(latents, base, tmp_path, monkeypatch):
    import huggingface_hub

    asked = []

    def snapshot_download(name, revision=None, local_files_only=False, **_):
        asked.append(local_files_only)
        raise OSError("offline")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    out = finetune(latents, base=base, out=tmp_path / "run", config=FinetuneConfig(steps=1, batch_size=4), seed=0)
    path = out / "config.json"
    record = unsealed(path)
    record["settings"] |= {"schedule": "no_such_module.thing", "criteria": {"no_such_module.thing": 1}}
    path.write_text(json.dumps(record))
    with allowing(Trust()):
        load_denoiser(out)  # what it was made with is told, not made again
        path.write_text(json.dumps(record | {"base": record["base"] | {"path": "hub:someone/model"}}))
        with pytest.raises(
            UserError, match=r"config\.json: base 'someone/model' is not one .* would be fetched from the"
        ):
            load_denoiser(out)
        assert asked == [True]
    with pytest.raises(UserError, match=r"someone/model does not exist here, and could not be fetched"):
        load_denoiser(out)
    assert asked[-1] is False


@pytest.mark.parametrize("name", ["wandb", "all", "tensorboard"])
def test_only_a_local_tracker_needs_no_trust(latents, base, tmp_path, name):
    config = FinetuneConfig(steps=1, batch_size=4, trackers=(name,))
    says = f"tracker '{name}' is not one of roadstill's own" if name != "tensorboard" else "is not installed"
    with allowing(Trust()), pytest.raises(UserError, match=says):
        finetune(latents, base=base, out=tmp_path / "run", config=config, seed=0)
