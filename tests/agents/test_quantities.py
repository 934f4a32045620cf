"""Agents that predict numbers, and agents that look at the vehicle's own status."""

import json

import numpy as np
import pytest
import torch
from made import picture_set

from roadstill.agents import AgentConfig, open_agent, soften, train_agent
from roadstill.agents.quantities import QUANTITIES, Reading, chances_of, edges_of
from roadstill.agents.status import status_of, status_rows
from roadstill.errors import UserError
from roadstill.evaluation import compare, evaluate, open_run, run_of
from roadstill.imagesets import ImageSet, ImageSetWriter, open_imageset

SMALL = AgentConfig(network="convnet", steps=60, image_px=16, batch_size=16, learning_rate=3e-3, target="accel")
RULE = {"labels": "accel_mps2 < 0"}


def telling_set(folder, n=32, *, px=16, seed=0, about=RULE, edges=(0.0,)):
    """Pictures whose brightness is the acceleration."""
    rng = np.random.default_rng(seed)
    names = ("not_brake", "brake") if len(edges) == 1 else ("throttle", "hold", "brake")
    with ImageSetWriter(folder, names, px) as writer:
        for index in range(n):
            accel = float(np.linspace(-3, 3, n)[index])
            picture = np.clip(127 + 30 * accel + rng.normal(0, 5, (px, px, 3)), 0, 255).astype(np.uint8)
            label = int(sum(accel < edge for edge in edges))
            writer.add(picture, label, {"log": f"log{seed}-{index % 8}", "accel_mps2": accel})
        writer.about.update(about)
    return open_imageset(folder)


def test_an_acceleration_is_learnt_and_classes_follow_from_it(tmp_path):
    train, dev = telling_set(tmp_path / "train"), telling_set(tmp_path / "dev", seed=1)
    agent = train_agent(train, config=SMALL, seed=0, dev=dev, looks=2)
    values = agent.values(dev.pixels())
    accel = np.array(dev.column("accel_mps2"))
    assert values.shape == (32, 1)
    assert np.abs(values[:, 0] - accel).mean() < 0.8
    found = evaluate(agent, dev)
    np.testing.assert_allclose(found.misses[:, 0], values[:, 0] - accel, atol=1e-5)
    assert found.errors["mae"] == pytest.approx(np.abs(values[:, 0] - accel).mean(), abs=1e-5)
    assert found.errors["rmse"] >= found.errors["mae"]
    assert (found.probabilities.argmax(1) == (values[:, 0] < 0)).all()
    assert found.balanced_accuracy > 0.85
    assert found.scores()["unit"] == "m/s2"
    again = open_agent(agent.save(tmp_path / "agent"))
    np.testing.assert_array_equal(again.values(dev.pixels()), values)
    np.testing.assert_allclose(again.predict_set(dev), agent.predict(dev.pixels()), atol=1e-6)


def test_an_agent_that_has_learnt_nothing_says_the_mean(tmp_path):
    train = telling_set(tmp_path / "train", n=8)
    agent = train_agent(train.subset(np.arange(6)), config=AgentConfig(network="convnet", steps=1, image_px=16,
                        learning_rate=0.0, head_init="zero", target="accel"), seed=0)  # fmt: skip
    np.testing.assert_allclose(agent.values(train.pixels()), np.linspace(-3, 3, 8)[:6].mean(), atol=1e-5)


def test_chances_fall_with_the_distance_to_a_class():
    chances = chances_of([-2.0, -0.1, 0.1, 3.0], (0.0,))
    np.testing.assert_allclose(chances.sum(1), 1, atol=1e-6)
    assert chances.argmax(1).tolist() == [1, 1, 0, 0]
    assert chances[1, 1] < chances[0, 1]
    three = chances_of([-2.0, 0.0, 2.0], (-1.0, 1.0))
    assert three.argmax(1).tolist() == [2, 1, 0]
    assert np.isfinite(chances_of([-1e6, 1e6], (0.0,))).all()


def test_edges_come_from_the_sets_own_rule(tmp_path):
    assert edges_of(telling_set(tmp_path / "a")) == (0.0,)
    about = {"labels": "accel_mps2 at -1, 1", "edges_mps2": [-1, 1], "brakes": 1}
    three = telling_set(tmp_path / "b", about=about, edges=(-1.0, 1.0))
    assert edges_of(three) == (-1.0, 1.0)
    for wrong in ({}, {"labels": "location"}, {"edges_mps2": [1, 2]}, {"edges_mps2": ["x"]}, {"edges_mps2": 3}):
        with pytest.raises(UserError, match="does not tell at which accelerations its classes end"):
            edges_of(telling_set(tmp_path / f"c{len(list(tmp_path.iterdir()))}", about=wrong))


def test_a_picture_without_its_number_is_named_unless_a_teacher_says_it(tmp_path):
    full = telling_set(tmp_path / "full")
    bare = picture_set(tmp_path / "bare", 4)
    bare = ImageSet(bare.root, bare.class_names, bare.files, bare.labels, bare.facts, bare.size_px, bare.digest, RULE)
    with pytest.raises(UserError, match="has no accel_mps2, which target accel learns; take frames of an index"):
        train_agent(bare, config=SMALL, seed=0)
    teacher = train_agent(full, config=SMALL, seed=0)
    softened = soften(bare, teacher)
    assert [len(fact["soft_value"]) for fact in softened.facts] == [1] * 4
    assert train_agent(softened, config=SMALL, seed=0).about["targets"]
    broken = [{**fact, "accel_mps2": float("nan")} for fact in full.facts]
    with pytest.raises(UserError, match="its accel_mps2 is not 1 finite number"):
        QUANTITIES["accel"].of(ImageSet(full.root, full.class_names, full.files, full.labels, broken, 16, full.digest))


def test_runs_of_numbers_are_compared_by_their_errors(tmp_path):
    train, dev = telling_set(tmp_path / "train"), telling_set(tmp_path / "dev", seed=1)
    arms = {}
    for arm, steps in (("short", 1), ("long", 60)):
        for seed in range(3):
            config = AgentConfig(network="convnet", steps=steps, image_px=16, batch_size=16, learning_rate=3e-3,
                                 target="accel")  # fmt: skip
            found = evaluate(train_agent(train, config=config, seed=seed), dev)
            run = open_run(run_of(arm, seed, found, dev).save(tmp_path / arm / str(seed)))
            np.testing.assert_array_equal(run.evaluation.misses, found.misses)
            np.testing.assert_array_equal(run.evaluation.accels_mps2, found.accels_mps2)
            assert run.evaluation.scores() == found.scores()
            arms.setdefault(arm, []).append(run)
    compared = compare(arms, baseline="short", draws=200)
    assert compared.errors["long"].word == "better"
    assert "m/s2 less mean absolute error (95% interval" in compared.errors["long"].sentence
    assert compared.arms["long"].mae.mean < compared.arms["short"].mae.mean
    assert compared.mean_errors == pytest.approx((1.548, 1.787), abs=1e-3)  # of 32 accelerations from -3 to 3
    assert [spread.mean for spread in compared.arms["long"].mae_by_fifth] == pytest.approx(
        np.mean([run.evaluation.mae_by_fifth for run in arms["long"]], axis=0)
    )
    plain = [run_of("plain", seed, evaluate(train_agent(train, config=AgentConfig(network="convnet", steps=1,
             image_px=16), seed=seed), dev), dev) for seed in range(3)]  # fmt: skip
    with pytest.raises(UserError, match="some agents predict numbers and others classes"):
        compare({"short": arms["short"], "plain": plain}, baseline="short", draws=200)


def test_status_is_an_input_beside_the_picture_or_alone(tmp_path):
    # Pictures say nothing here: all are alike.
    with ImageSetWriter(tmp_path / "set", ("not_brake", "brake"), 16) as writer:
        for index in range(16):
            writer.add(np.full((16, 16, 3), 90, np.uint8), index % 2,
                       {"log": "a", "speed_mps": 4.0 + 8 * (index % 2), "command": "left"})  # fmt: skip
    images = open_imageset(tmp_path / "set")
    for network in ("convnet", "blind"):
        config = AgentConfig(network=network, steps=80, image_px=16, learning_rate=1e-2, ego=True, head_init="zero")
        agent = train_agent(images, config=config, seed=0)
        assert evaluate(agent, images).balanced_accuracy == 1.0
        again = open_agent(agent.save(tmp_path / network))
        status = status_rows([4.0, 12.0], ["left", "left"])
        assert again.predict(images.pixels([0, 0]), status).argmax(1).tolist() == [0, 1]
        with pytest.raises(UserError, match="looks at the vehicle's own status besides the picture; give both"):
            again.predict(images.pixels([0]))
        with pytest.raises(UserError, match="take one of pictures and classes alone"):
            again.logits(torch.zeros(1, 3, 16, 16))
    bare = train_agent(images, config=AgentConfig(network="convnet", steps=80, image_px=16, learning_rate=1e-2), seed=0)
    assert evaluate(bare, images).balanced_accuracy == 0.5


def test_what_ego_needs_is_said(tmp_path):
    with pytest.raises(UserError, match="the network blind sees no picture, and ego is false"):
        AgentConfig(network="blind")
    with pytest.raises(UserError, match="has no speed_mps and command, which ego looks at"):
        status_of(picture_set(tmp_path / "set", 4))
    with pytest.raises(UserError, match="augment cutmix and a temperature are for classes"):
        AgentConfig(target="accel", augment="cutmix", network="convnet")


def test_a_damaged_record_of_a_numbers_agent_is_refused(tmp_path):
    agent = train_agent(telling_set(tmp_path / "train", n=8), config=SMALL, seed=0)
    path = agent.save(tmp_path / "agent") / "agent.json"
    record = json.loads(path.read_text())
    record.pop("seal", None)
    for edges in ([], [0.0, 1.0]):
        path.write_text(json.dumps({name: part for name, part in record.items() if len(name) < 20} | {
            "about": record["about"] | {"edges_mps2": edges}}))  # fmt: skip
        with pytest.raises(UserError):
            open_agent(tmp_path / "agent")
    assert Reading.of("class", ()).width(3) == 3


def test_poses_mean_an_acceleration_and_are_missed_in_metres():
    times = np.arange(1, 9) * 0.5
    poses = np.zeros((2, 8, 3), np.float32)
    poses[0, :, 0] = 10 * times - times**2  # brakes by 2 m/s2
    turn = 0.2 * times
    poses[1, :, 0], poses[1, :, 1] = 40 * np.sin(turn), 40 * (1 - np.cos(turn))  # 8 m/s around a circle
    quantity, flat = QUANTITIES["poses"], poses.reshape(2, 24)
    np.testing.assert_allclose(quantity.accel_mps2(flat), [-2, 0], atol=0.02)
    other = poses.copy()
    other[..., 0] += 3.0
    other[..., 1] -= 4.0
    np.testing.assert_allclose(quantity.misses(other.reshape(2, 24), flat), 5, atol=1e-5)
    assert quantity.misses(other.reshape(2, 24), flat).shape == (2, 8)


def test_poses_are_learnt_from_a_sets_futures(tmp_path):
    with ImageSetWriter(tmp_path / "set", ("not_brake", "brake"), 16) as writer:
        for index in range(16):
            speed = np.array([8.0, 2.0][index % 2])
            future = np.stack([speed * np.arange(1, 9) * 0.5, np.zeros(8), np.zeros(8)], 1).ravel().tolist()
            picture = np.full((16, 16, 3), 60 + 100 * (index % 2), np.uint8)
            writer.add(picture, index % 2, {"log": "a", "drive": "a", "future": future})
        writer.about.update(RULE)
    images = open_imageset(tmp_path / "set")
    config = AgentConfig(network="convnet", steps=60, image_px=16, learning_rate=1e-2, target="poses")
    agent = train_agent(images, config=config, seed=0)
    found = evaluate(agent, images)
    assert (found.misses.shape, found.unit) == ((16, 8), "m")
    assert found.errors["mae"] < 3
    run = open_run(run_of("poses", 0, found, images).save(tmp_path / "run"))
    np.testing.assert_array_equal(run.evaluation.misses, found.misses)
    assert open_agent(agent.save(tmp_path / "agent")).values(images.pixels([0])).shape == (1, 24)
    with pytest.raises(UserError, match="its future is not 24 finite numbers"):
        QUANTITIES["poses"].of(ImageSet(images.root, images.class_names, images.files, images.labels,
                               [{**fact, "future": [1.0]} for fact in images.facts], 16, images.digest))  # fmt: skip
