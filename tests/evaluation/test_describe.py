"""Sets of pictures against real frames: per class, without what they share, and never by random features."""

import numpy as np
import pytest
from made import picture_set

from roadstill.agents import AgentConfig, train_agent
from roadstill.errors import UserError
from roadstill.evaluation.describe import ALL, RealFrames, feature_network
from roadstill.evaluation.distances import frechet_distance, kernel_distance
from roadstill.evaluation.neighbours import overlap


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    return picture_set(tmp_path_factory.mktemp("real") / "set", 48, seed=0)


@pytest.fixture(scope="module")
def agent(real):
    return train_agent(real, config=AgentConfig(network="convnet", steps=30, learning_rate=1e-2), seed=0)


def test_each_class_is_compared_with_its_own_and_all_with_all(real, agent, tmp_path):
    made = picture_set(tmp_path / "made", 20, seed=9)
    found = RealFrames(agent, real).describe(made, reader=agent, pairs=3)
    assert list(found.classes) == ["not_brake", "brake", ALL]
    brake = found.classes["brake"]
    assert (brake.pictures, brake.real_frames, found.shared, brake.kernel_subset) == (10, 24, 0, 5)
    ours, theirs = (its.labels == 1 for its in (made, real))
    first = agent.features(real, np.flatnonzero(theirs))
    second = agent.features(made, np.flatnonzero(ours))
    assert brake.frechet == pytest.approx(frechet_distance(first, second))
    assert brake.kernel == pytest.approx(kernel_distance(first, second))
    assert brake.overlap == overlap(first, second)
    answers = agent.predict_set(made)
    assert brake.read_as_asked == pytest.approx((answers[ours].argmax(1) == 1).mean())
    assert brake.confidence == pytest.approx(answers[ours, 1].mean())
    whole = found.classes[ALL]
    assert whole.read_as_asked == pytest.approx((answers.argmax(1) == made.labels).mean())
    assert (whole.pictures, whole.real_frames, whole.rank) == (20, 48, min(19, first.shape[1]))
    distances = [pair["cosine_distance"] for pair in found.pairs]
    assert distances == sorted(distances)
    assert len(distances) == 3
    assert distances[0] == pytest.approx(whole.nearest["0"])


def test_the_nearest_frame_of_a_near_copy_is_the_one_that_was_copied(real, agent, tmp_path):
    from roadstill.imagesets import ImageSetWriter, open_imageset

    picture = real.pixels([5])[0].copy()
    picture[0, 0] ^= 1
    with ImageSetWriter(tmp_path / "copy", real.class_names, real.size_px) as writer:
        writer.add(picture, 1, {})
    found = RealFrames(agent, real).describe(open_imageset(tmp_path / "copy"))
    assert [pair["real_file"] for pair in found.pairs] == [real.files[5]]
    assert found.shared == 0
    assert list(found.classes) == ["brake", ALL]
    brake = found.classes["brake"]
    assert brake.nearer_than_real == 1
    assert (brake.frechet, brake.kernel, brake.kernel_sd, brake.overlap.recall) == (None, None, None, None)


def test_frames_of_the_reference_are_compared_with_the_others(real, agent):
    part = real.subset(range(10))
    reference = RealFrames(agent, real)
    found, apart = reference.describe(part), RealFrames(agent, real.subset(range(10, 48))).describe(part)
    assert (found.shared, apart.shared) == (10, 0)
    assert found.classes[ALL].frechet == pytest.approx(apart.classes[ALL].frechet)
    assert found.classes[ALL].nearest["0"] > 0
    with pytest.raises(UserError, match="name other real frames"):
        reference.describe(real)


def test_real_frames_tell_how_near_frames_of_another_log_are(real, agent):
    reference = RealFrames(agent, real).nearest
    assert set(reference) == {"frame", "other_log"}
    assert reference["other_log"]["0.5"] >= reference["frame"]["0.5"] > 0
    assert "other_log" not in RealFrames(agent, real.subset(range(4))).nearest


def test_what_cannot_be_compared_is_refused(real, agent, tmp_path):
    large = picture_set(tmp_path / "large", 4, px=32)
    with pytest.raises(UserError, match="trained on 16 px pictures, but these have 32 px"):
        RealFrames(agent, real).describe(large)
    with pytest.raises(UserError, match="has 1 images; at least 2"):
        RealFrames(agent, real.subset([0]))
    with pytest.raises(UserError, match="has no images"):
        RealFrames(agent, real).describe(real.subset([]))
    with pytest.raises(UserError, match="network convnet starts from random weights"):
        feature_network("convnet", large)
    with pytest.raises(UserError, match="16 px, but features of efficientnet-lite0 need 32"):
        feature_network("efficientnet-lite0", real)


def test_features_of_imagenet_are_those_of_a_frozen_agent(tmp_path):
    images = picture_set(tmp_path / "set", 4, px=32)
    network = feature_network("efficientnet-lite0", images)
    frozen = train_agent(images, config=AgentConfig(freeze=18, steps=1), seed=0)
    rows = np.arange(4)
    np.testing.assert_array_equal(network.features(images, rows), frozen.features(images, rows))
    assert network.cache.num_bytes == 0
