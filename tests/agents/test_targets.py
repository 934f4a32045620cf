from dataclasses import replace

import numpy as np
import pytest
import torch
from made import picture_set

from roadstill.agents import AgentConfig, soften, train_agent
from roadstill.agents.targets import Targets, read_targets
from roadstill.errors import UserError
from roadstill.imagesets import open_imageset

SMALL = AgentConfig(network="convnet", steps=6, batch_size=4, learning_rate=3e-3)
SOFT = replace(SMALL, labels="soft")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return picture_set(tmp_path_factory.mktemp("pictures") / "set", 10)


def with_facts(images, **facts):
    rows = [dict(fact) | {name: values[i] for name, values in facts.items()} for i, fact in enumerate(images.facts)]
    return replace(images, facts=rows)


def state(images, config=SMALL, **more):
    return train_agent(images, config=config, seed=0, **more).network.state_dict()


def equal(one, other):
    return all(torch.equal(value, other[name]) for name, value in one.items())


@pytest.mark.parametrize("network", ["convnet", "convnet-3"])
def test_one_hot_soft_labels_are_hard_labels(images, network):
    one_hot = with_facts(images, soft_label=np.eye(2)[images.labels].tolist())
    hard, soft = (replace(config, network=network) for config in (SMALL, SOFT))
    assert equal(state(images, hard), state(one_hot, soft))
    assert equal(state(images, hard), state(one_hot, hard))


def test_soft_labels_by_hand():
    logits = torch.tensor([[1.0, -2.0], [0.5, 0.25]])
    wanted = torch.tensor([[0.7, 0.3], [0.1, 0.9]])
    t = 3.0
    log_p = (logits / t).log_softmax(1)
    found = Targets(wanted, torch.tensor([0.5, 1.5]), t).loss(logits, np.arange(2))
    expected = -(t**2) * (0.5 * (wanted[0] * log_p[0]).sum() + 1.5 * (wanted[1] * log_p[1]).sum()) / 2
    torch.testing.assert_close(found, expected)


def test_a_temperature_softens_the_teachers_side_too(images):
    soft = with_facts(images, soft_label=[[0.9, 0.1]] * 10)
    _, targets, _ = read_targets(soft, replace(SOFT, temperature=2.0))
    root = np.sqrt([0.9, 0.1])
    np.testing.assert_allclose(targets.wanted.numpy(), np.tile(root / root.sum(), (10, 1)), rtol=1e-6)


def test_an_image_of_no_weight_might_as_well_not_be_there(images):
    weights = [1.0, 2.0, 0.0, 1.0, 0.0, 3.0, 1.0, 1.0, 2.0, 1.0]
    kept = [row for row, weight in enumerate(weights) if weight]
    weighted = with_facts(images, weight=weights)
    assert equal(state(weighted), state(weighted.subset(kept)))
    assert not equal(state(weighted), state(images.subset(kept)))
    # Equal weights, whatever they are, are no weights.
    assert equal(state(with_facts(images, weight=[7] * 10)), state(images))


def test_a_weight_of_two_is_an_image_twice(images):
    weights = np.ones(10)
    weights[3] = 2
    logits = torch.randn(10, 2, generator=torch.Generator().manual_seed(0))
    _, targets, _ = read_targets(with_facts(images, weight=weights.tolist()), SMALL)
    twice = torch.tensor([*range(10), 3])
    expected = torch.nn.functional.cross_entropy(logits[twice], torch.from_numpy(images.labels)[twice])
    torch.testing.assert_close(targets.loss(logits, np.arange(10)), expected)


def test_what_the_labels_were_is_on_record(images):
    plain = train_agent(images, config=SMALL, seed=0)
    assert "targets" not in plain.about
    soft = [train_agent(with_facts(images, soft_label=[[p, 1 - p]] * 10), config=SOFT, seed=0) for p in (0.4, 0.6)]
    assert soft[0].digest != soft[1].digest
    ignored = train_agent(with_facts(images, soft_label=[[0.5, 0.5]] * 10), config=SMALL, seed=0)
    assert ignored.digest == plain.digest


def test_a_teacher_writes_its_probabilities_beside_the_images(images, tmp_path):
    teacher = train_agent(images, config=SMALL, seed=1)
    soft = soften(images, teacher)
    assert soft.digest == images.digest  # the pictures are the same; the agent's record tells the labels apart
    saved = soft.save(tmp_path / "soft")
    assert saved.about["soft_labels"] == {"teacher": teacher.digest}
    found = np.array(saved.column("soft_label"), np.float32)
    np.testing.assert_array_equal(found, teacher.predict_set(images))
    assert "soft_label" not in open_imageset(images.root).facts[0]
    assert equal(state(saved, SOFT), state(soft, SOFT))
    with pytest.raises(UserError, match="the teacher has the classes"):
        soften(replace(images, class_names=("a", "b")), teacher)


@pytest.mark.parametrize(
    ("facts", "config", "message"),
    [
        ({}, SOFT, "make them with roadstill.agents.soften"),
        ({"soft_label": [[0.5, 0.5]] * 9 + [None]}, SOFT, "000004.png: its soft label is missing"),
        ({"soft_label": [[0.5, 0.6]] * 10}, SOFT, "its soft label sums to 1.1"),
        ({"soft_label": [[1.5, -0.5]] * 10}, SOFT, "holds logits"),
        ({"soft_label": [[0.5, -0.5]] * 10}, SOFT, "is centred"),
        ({"soft_label": ["0.5"] * 10}, SOFT, "is no list of numbers"),
        ({"soft_label": [[0.5, 0.5]] * 9 + [[1.0]]}, SOFT, "has 1 values for 2 classes"),
        ({"soft_label": [[float("nan")] * 2] * 10}, SOFT, "NaN or infinity; it should be 2 probabilities"),
        ({"weight": [1.0] * 9 + [None]}, SMALL, "needs a weight"),
        ({"weight": [1.0] * 9 + [-1.0]}, SMALL, "needs a weight"),
        ({"weight": ["much"] * 10}, SMALL, "needs a weight"),
        ({"weight": [0.0] * 10}, SMALL, "needs a weight"),
        ({"weight": [0.0, 1.0] * 5}, SMALL, "no image of class 'not_brake'"),
    ],
)
def test_labels_and_weights_that_are_none(images, facts, config, message):
    with pytest.raises(UserError, match=message):
        train_agent(with_facts(images, **facts), config=config, seed=0)


def test_settings_that_make_no_sense():
    with pytest.raises(UserError, match="labels"):
        AgentConfig(labels="fuzzy")
    for temperature, labels in ((0, "soft"), (float("nan"), "soft"), (2.0, "hard")):
        with pytest.raises(UserError, match="temperature"):
            AgentConfig(labels=labels, temperature=temperature)
