"""Every method from a large set to a small one: it does what it says, again and again, and after a stop."""

import numpy as np
import pytest
import torch

from roadstill.agents import AgentConfig, open_agent, protocol, train_agent
from roadstill.codecs.pixels import PixelCodec
from roadstill.distil import METHODS, Tools, distil
from roadstill.distil.experts import ExpertTraining, make_experts
from roadstill.distil.spaces import Space
from roadstill.distil.task import real_of
from roadstill.errors import UserError
from roadstill.evaluation import evaluate
from roadstill.imagesets import ImageSetWriter, open_imageset

AGENT = AgentConfig(network="convnet-3", normalise="cifar10")
STUDENT = {"student_steps": 3, "last_epoch": 1, "expert_epochs": 1}
QUICK = {
    "dm": {"steps": 30, "learning_rate": 0.1, "objective": {"real_batch": 16}},
    "dc": {"steps": 4, "objective": {"real_batch": 16, "matches": 2, "epochs": 1}},
    "dsa": {"steps": 4, "objective": {"real_batch": 16, "matches": 2, "epochs": 1}},
    "idc": {"steps": 2, "learning_rate": 0.1, "objective": {"real_batch": 16, "matches": 2, "real_steps": 2}},
    "mtt": {"steps": 3, "whitening": "none", "learning_rate": 1.0, "objective": STUDENT},
    "tesla": {"steps": 3, "whitening": "none", "learning_rate": 1.0, "objective": STUDENT},
    "datm": {"steps": 3, "whitening": "none", "learning_rate": 10.0,
             "objective": {**STUDENT, "early_epoch": 0, "skip_above": 100.0}},
    "ncfm": {"steps": 3, "objective": {"real_batch": 16, "frequencies": 32}},
    "unroll": {"steps": 4, "objective": {"window": 3, "most_steps": 6, "agents": 2, "real_batch": 16,
                                         "optimiser": "adamw", "learning_rate": 1e-3}},
    "kip": {"steps": 5, "objective": {"real_batch": 32}},
    "rfad": {"steps": 3, "objective": {"real_batch": 16, "networks": 2, "width": 8}},
    "frepo": {"steps": 3, "objective": {"real_batch": 16, "pool": 2, "most_steps": 3}},
    "lgm": {"steps": 3, "parametrisation": "unit", "objective": {"real_batch": 16, "heads": 4, "regression": 1.0}},
}  # fmt: skip
NEEDS_EXPERTS = ("mtt", "tesla", "datm")


def colours(folder, n, *, seed=0, px=16, split="train"):
    """Pictures whose class is in their colour, under noise."""
    rng = np.random.default_rng(seed)
    with ImageSetWriter(folder, ("warm", "cold"), px) as writer:
        for index in range(n):
            picture = rng.integers(0, 200, (4, 4, 3)).repeat(px // 4, 0).repeat(px // 4, 1)
            picture[..., 2 * (index % 2)] += 25
            writer.add(
                picture.astype(np.uint8), index % 2, {"token": f"t{seed}-{index}", "accel_mps2": float(index % 2) - 0.5}
            )
        writer.about.update({"split": split, "labels": "accel_mps2 < 0"})
    return open_imageset(folder)


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    return colours(tmp_path_factory.mktemp("real") / "set", 48)


@pytest.fixture(scope="module")
def experts(tmp_path_factory, real):
    folder = tmp_path_factory.mktemp("experts") / "store"
    known = real_of(real, Space((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)), "class", 0)
    config = ExpertTraining(experts=2, epochs=2, batch_size=16)
    make_experts(known, AGENT, folder, config=config, seed=0)
    return folder


def settings_of(name, experts):
    found = QUICK[name]
    if name in NEEDS_EXPERTS:
        found = {**found, "objective": {**found["objective"], "experts": str(experts)}}
    return found


def make(name, images, experts, out, seed=0, **more):
    settings = {**settings_of(name, experts), **more}
    return distil(images, name, per_class=2, seed=seed, out=out, agent=AGENT, settings=settings)


def test_no_method_is_left_out():
    assert set(QUICK) == set(METHODS)


@pytest.mark.parametrize("name", METHODS)
def test_a_method_moves_pictures_and_gives_the_same_bytes_again(name, real, experts, tmp_path):
    one, same, other = (make(name, real, experts, tmp_path / which, seed) for which, seed in
                        (("one", 3), ("same", 3), ("other", 4)))  # fmt: skip
    assert one.digest == same.digest != other.digest
    assert one.counts() == {"warm": 2, "cold": 2}
    still = make(name, real, experts, tmp_path / "still", 3, learning_rate=0.0, label_rate=0.0)
    before, after = (each.values.pictures(range(4)) for each in (still, one))
    assert (after - before).abs().max() > 1e-4
    assert one.about["recipe"]["protocol"]


@pytest.mark.parametrize("name", METHODS)
def test_what_was_stopped_goes_on_to_the_same_bytes(name, real, experts, tmp_path, monkeypatch):
    steps = settings_of(name, experts)["steps"]
    whole = make(name, real, experts, tmp_path / "whole", save_every=1)
    import roadstill.distil.state as loop

    class Stopped(Exception):
        pass

    save, calls = loop.State.save, []

    def stopping(self, step):
        save(self, step)
        calls.append(step)
        if len(calls) == max(1, steps // 2):
            raise Stopped

    monkeypatch.setattr(loop.State, "save", stopping)
    with pytest.raises(Stopped):
        make(name, real, experts, tmp_path / "parts", save_every=1)
    monkeypatch.setattr(loop.State, "save", save)
    assert not (tmp_path / "parts").exists()
    again = make(name, real, experts, tmp_path / "parts", save_every=1)
    assert again.digest == whole.digest


def test_mean_features_agree_when_the_small_set_is_the_whole_one(real, tmp_path):
    told = []
    same = distil(
        real, "dm", per_class=24, seed=0, out=tmp_path / "same", agent=AGENT, tools=Tools(start=real), say=told.append,
        settings={"steps": 1, "augment": "dsa", "learning_rate": 0.0, "objective": {"real_batch": 1000}},
    )  # fmt: skip
    assert len(same) == 48
    assert float(told[0].split("loss ")[1]) < 1e-8


def test_distribution_matching_lowers_its_distance(real, tmp_path):
    told = []
    distil(real, "dm", per_class=2, seed=0, out=tmp_path / "a", agent=AGENT, say=told.append,
           settings={"steps": 40, "start": "noise", "learning_rate": 1.0, "save_every": 5,
                     "objective": {"real_batch": 24}})  # fmt: skip
    losses = [float(line.split("loss ")[1]) for line in told]
    assert np.mean(losses[-2:]) < 0.85 * losses[0]


def test_a_student_that_does_not_learn_has_loss_1_and_tesla_is_mtt_for_one_step(real, experts, tmp_path):
    told = {}
    made = {}
    for name, objective in (
        ("still", {"learning_rate": 1e-9, "student_steps": 2}),
        ("mtt", {"student_steps": 1}),
        ("tesla", {"student_steps": 1, "constant_memory": True}),
        ("mtt3", {"student_steps": 3}),
        ("tesla3", {"student_steps": 3, "constant_memory": True}),
    ):  # fmt: skip
        lines = []
        made[name] = distil(
            real, "mtt", per_class=2, seed=0, out=tmp_path / name, agent=AGENT, say=lines.append,
            settings={"steps": 1, "whitening": "none", "learning_rate": 1.0, "augment": "none",
                      "objective": {"experts": str(experts), "last_epoch": 0, "expert_epochs": 1, **objective}},
        )  # fmt: skip
        told[name] = float(lines[0].split("trajectory ")[1])
    assert told["still"] == pytest.approx(1, abs=1e-4)
    start = distil(real, "mtt", per_class=2, seed=0, out=tmp_path / "start", agent=AGENT,
                   settings={"steps": 1, "whitening": "none", "learning_rate": 0.0, "augment": "none",
                             "objective": {"experts": str(experts), "last_epoch": 0, "expert_epochs": 1,
                                           "student_steps": 1}})  # fmt: skip
    moved = {name: made[name].values.pictures(range(4)) - start.values.pictures(range(4)) for name in made}
    torch.testing.assert_close(moved["mtt"], moved["tesla"], rtol=2e-2, atol=1e-6)
    cosine = torch.nn.functional.cosine_similarity(moved["mtt3"].flatten(), moved["tesla3"].flatten(), 0)
    assert 0 < cosine


def test_a_set_carries_what_agents_need_and_is_refused_without(real, experts, tmp_path):
    small = make("kip", real, experts, tmp_path / "kip")
    assert small.values.targets().shape == (4, 2)
    with pytest.raises(UserError, match="made to be trained on with normalise whitened"):
        train_agent(small, config=protocol("dsa", epochs=2), seed=0)
    agent = train_agent(small, config=protocol("dsa", epochs=2, recipe="apply"), seed=0)
    assert agent.config.normalise == "whitened"
    again = open_agent(agent.save(tmp_path / "agent"))
    np.testing.assert_array_equal(again.predict_set(real), agent.predict_set(real))
    assert evaluate(again, real).n == 48
    train_agent(small, config=protocol("dsa", epochs=2, recipe="ignore"), seed=0)
    learnt = make("mtt", real, experts, tmp_path / "mtt")
    rate = learnt.about["recipe"]["learning_rate"]
    with pytest.raises(UserError, match="made to be trained on with"):
        train_agent(learnt, config=protocol("dsa", epochs=1, learning_rate=2 * rate), seed=0)
    assert train_agent(learnt, config=protocol("mtt", epochs=1), seed=0).config.learning_rate == rate
    soft = make("datm", real, experts, tmp_path / "datm")
    assert train_agent(soft, config=protocol("datm", epochs=1), seed=0).config.labels == "soft"


def test_patches_are_pictures_to_an_agent(real, experts, tmp_path):
    small = make("idc", real, experts, tmp_path / "idc")
    assert small.about["recipe"]["patches"] == 2
    assert len(small) == 4
    agent = train_agent(small, config=protocol("idc", epochs=1), seed=0)
    assert agent.about["num_images"] == 16


def test_a_copy_of_a_set_has_its_numbers(real, experts, tmp_path):
    small = make("dm", real, experts, tmp_path / "dm")
    some = small.subset([3, 0]).save(tmp_path / "some")
    torch.testing.assert_close(some.values.pictures([0, 1]), small.values.pictures([3, 0]))
    path = some.root / "values.safetensors"
    path.write_bytes(path.read_bytes()[:-4] + b"abcd")
    with pytest.raises(UserError, match=r"is not what set\.json was written with"):
        open_imageset(some.root).values.pictures([0])


def test_numbers_are_distilled_by_regression(real, tmp_path):
    agent = AgentConfig(network="convnet-3", normalise="cifar10", target="accel")
    for name in ("kip", "rfad", "frepo", "dm", "unroll"):
        small = distil(real, name, per_class=2, seed=0, out=tmp_path / name, agent=agent, settings=QUICK[name])
        assert len(small) == 4
    config = AgentConfig(network="convnet-3", steps=2, target="accel", recipe="apply")
    assert train_agent(open_imageset(tmp_path / "kip"), config=config, seed=0).config.target == "accel"


def test_representatives_stand_for_their_class(real, experts, tmp_path):
    found = make("dm", real, experts, tmp_path / "dream", real="clusters")
    assert found.digest != make("dm", real, experts, tmp_path / "random").digest


def test_latents_of_a_codec_move(real, experts, tmp_path):
    found = distil(real, "dm", per_class=2, seed=0, out=tmp_path / "latents", agent=AGENT,
                   tools=Tools(codec=PixelCodec()), settings={"parametrisation": "latents", "steps": 3, "levels": 2,
                                                              "objective": {"real_batch": 8}})  # fmt: skip
    assert len(found) == 4


@pytest.mark.parametrize(("name", "settings", "said"), [
    ("dn", {}, "method 'dn' is unknown"),
    ("dm", {"step": 3}, "has no setting 'step'"),
    ("dm", {"objective": {"batch": 3}}, "has the setting batch"),
    ("dm", {"objective": {"kind": "none"}}, "objective kind 'none' is unknown"),
    ("dm", {"parametrisation": "latents"}, "needs a codec"),
    ("dm", {"labels": "teacher"}, "needs a teacher"),
    ("dm", {"levels": 2}, "has an effect only on latents"),
    ("dm", {"steps": 0}, "steps is 0"),
    ("mtt", {"whitening": "none"}, "experts.json"),
])  # fmt: skip
def test_mistakes_are_named_before_any_work(real, tmp_path, name, settings, said):
    with pytest.raises(UserError, match=said):
        distil(real, name, per_class=2, seed=0, out=tmp_path / "out", agent=AGENT, settings=settings)
    assert not (tmp_path / "out").exists()


def test_the_test_part_is_not_distilled(tmp_path):
    with pytest.raises(UserError, match="is the test part"):
        distil(
            colours(tmp_path / "test", 8, split="test"), "dm", per_class=1, seed=0, out=tmp_path / "out", agent=AGENT
        )
