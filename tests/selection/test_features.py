"""Feature networks: pixels, an agent's counts of forgetting, a generator's middle block; and the cache."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from toys import greys, pictureless

from roadstill.agents import AgentConfig, ForgettingCounts, train_agent
from roadstill.agents.picking import Turns
from roadstill.codecs import load_codec
from roadstill.denoisers.dit import DiTDenoiser
from roadstill.denoisers.sit import SiTDenoiser
from roadstill.errors import UserError
from roadstill.networks.dit import DiT
from roadstill.schedules import linear
from roadstill.selection import CachedFeatures, PixelFeatures, Random
from roadstill.selection.base import choose_each
from roadstill.selection.distinct import Distinct
from roadstill.selection.facility_location import FacilityLocation
from roadstill.selection.herding import Herding
from roadstill.selection.k_center import KCenter
from roadstill.selection.medoids import Medoids
from roadstill.selection.middle import MiddleFeatures
from roadstill.selection.minimax import Minimax
from roadstill.selection.moment_group import MomentGroup
from roadstill.selection.rded import Rded
from roadstill.selection.s3 import S3
from roadstill.selection.uncertainty import LeastConfidence, Margin, RememberingTeacher


def test_each_image_is_computed_once_and_old_sets_go():
    asked = []

    def features(images, rows):
        asked.append((images.digest, rows.tolist()))
        return np.stack([rows, rows], 1).astype(np.float32)

    cached = CachedFeatures(features, sets=2)
    first, second, third = (pictureless([0] * 6, digest=digest) for digest in "abc")
    assert cached(first, np.array([4, 1])).tolist() == [[4, 4], [1, 1]]
    assert cached(first, np.array([1, 2, 4])).tolist() == [[1, 1], [2, 2], [4, 4]]
    assert cached(first, np.array([2])).tolist() == [[2, 2]]
    assert asked == [("a", [4, 1]), ("a", [2])]
    cached(second, np.array([0]))
    cached(first, np.array([4]))
    cached(third, np.array([0]))  # the second is asked for longest ago
    cached(first, np.array([4]))
    cached(second, np.array([0]))
    assert asked[2:] == [("b", [0]), ("c", [0]), ("b", [0])]


def test_pixels_are_box_averages(tmp_path):
    images = greys(tmp_path / "set", [0, 51], [0, 0])
    found = PixelFeatures(side_px=2)(images, np.array([1, 0]))
    assert found.shape == (2, 12)
    np.testing.assert_allclose(found, [[0.2] * 12, [0.0] * 12], atol=1e-6)


def test_turns_are_counted_from_right_to_wrong_only():
    turns = Turns(np.array([0, 1, 1]))
    right, wrong = torch.tensor([2.0, 1.0]), torch.tensor([1.0, 2.0])  # for label 0
    for one in (right, wrong, wrong, right, wrong):
        turns(np.array([0]), one[None])
    turns(np.array([2, 1]), torch.stack([right, wrong]))  # wrong for 2, right for 1: no turn
    assert turns.counts.tolist() == [2, 0, 0]


def test_counting_changes_no_training_and_happens_once(tmp_path):
    images = greys(tmp_path / "set", range(0, 240, 10), [0, 1] * 12, size_px=32)
    config = AgentConfig("convnet", steps=6, batch_size=8, learning_rate=0.01)
    counts = ForgettingCounts(config)
    first = counts(images)
    assert counts(images) is first
    assert first.shape == (24,)
    seen = []
    watched = train_agent(images, config=config, seed=0, watch=lambda rows, logits: seen.append(rows))
    assert np.bincount(np.concatenate(seen)).tolist() == [2] * 24
    plain = train_agent(images, config=config, seed=0)
    assert watched.about == plain.about


def denoiser(kind=DiTDenoiser):
    codec = load_codec()
    network = DiT(
        input_size=32 // codec.downsampling,
        patch_size=2,
        in_channels=codec.channels,
        hidden_size=16,
        depth=3,
        num_heads=2,
        num_classes=2,
    )
    return (kind(network, linear()) if kind is DiTDenoiser else kind(network)), codec


def test_the_middle_block_s_mean_token(tmp_path):
    images = greys(tmp_path / "set", [0, 90, 180, 90], [0, 0, 1, 1], size_px=32)
    made, codec = denoiser()
    with torch.no_grad():
        for block in made.network.blocks:  # fresh gates are zero
            block.adaLN_modulation[1].weight.normal_(generator=torch.Generator().manual_seed(0))
    features = MiddleFeatures(made, codec)
    found = features(images, np.arange(4))
    assert found.shape == (4, 16)
    # It is what the network computes: the tokens behind block 2 of 3.
    tokens = []
    handle = made.network.blocks[1].register_forward_hook(lambda module, given, out: tokens.append(out))
    from roadstill.codecs import from_pixels
    from roadstill.denoisers.diffusion import add_noise

    with torch.no_grad():
        clean = codec.encode(from_pixels(torch.from_numpy(images.pixels()))).mean
        t = torch.full((4,), 50)
        noisy = add_noise(made.schedule, clean, t, features.noise.expand_as(clean))
        made.network.eval()(noisy, t, torch.full((4,), 2))
    handle.remove()
    np.testing.assert_allclose(found, tokens[0].mean(1).numpy(), atol=1e-5)
    # Equal pictures have equal features, whatever their label or batch.
    np.testing.assert_allclose(found[1], found[3], atol=1e-5)
    np.testing.assert_allclose(features(images, np.array([2])), found[2:3], atol=1e-5)
    assert np.abs(found[0] - found[2]).max() > 1e-2


def test_the_middle_block_needs_a_fitting_generator(tmp_path):
    made, codec = denoiser()
    with pytest.raises(UserError, match="prepare pictures of the size"):
        MiddleFeatures(made, codec)(greys(tmp_path / "set", [0], [0], size_px=64), np.array([0]))
    with pytest.raises(UserError, match="to below the schedule's 1000 steps"):
        MiddleFeatures(made, codec, step=1000)
    other, codec = denoiser(SiTDenoiser)
    with pytest.raises(UserError, match="use an agent's features instead"):
        MiddleFeatures(other, codec)


class _FromArray:
    def __init__(self, values):
        self.values = values

    def __call__(self, images, rows):
        return self.values[rows]


BY_FEATURES = {
    "medoids": Medoids, "herding": Herding, "k_center": KCenter, "facility_location": FacilityLocation,
    "minimax": Minimax, "moment_group": MomentGroup, "s3": S3,
    "distinct": lambda features: Distinct(Random(), features),
    "cached": lambda features: KCenter(CachedFeatures(features)),
}  # fmt: skip


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e39])
@pytest.mark.parametrize("name", BY_FEATURES)
def test_one_row_that_is_not_finite_is_refused_by_its_name(name, value):
    values = np.random.default_rng(0).normal(size=(40, 4))
    method = BY_FEATURES[name](_FromArray(values))
    images, rows = pictureless([0] * 40), np.arange(40)
    rng = np.random.default_rng(0)
    assert len(np.concatenate(choose_each(method, images, [rows], count=5, rngs=[rng]))) == 5
    values[7, 2] = value
    with pytest.raises(UserError, match=r"nowhere: the features of image 7 \(7\.png\) are not finite"):
        choose_each(BY_FEATURES[name](_FromArray(values)), images, [rows], count=5, rngs=[rng])


def test_features_of_another_shape_and_a_reference_of_other_classes_are_refused():
    images, rows = pictureless([0] * 4), np.arange(4)
    for shape in ((4,), (3, 2), (4, 0)):
        with pytest.raises(UserError, match=r"features of 4 images have the shape \(.*\), not \[n, d\]"):
            KCenter(lambda images, rows, shape=shape: np.zeros(shape)).choose(images, rows, count=1, rng=None)
    other = replace(images, class_names=("other",))
    with pytest.raises(UserError, match="take two that know the same classes"):
        Herding(_FromArray(np.ones((4, 2))), reference=other).choose(images, rows, count=1, rng=None)


def test_a_teacher_of_nan_is_refused(tmp_path):
    images = greys(tmp_path / "set", [0, 51, 102], [0, 0, 1])

    def predict(pixels):
        return np.where(pixels.mean((1, 2, 3))[:, None] == 51, np.nan, 0.5).repeat(2, 1).astype(np.float32)

    for method in (Margin(predict), LeastConfidence(RememberingTeacher(predict))):
        with pytest.raises(UserError, match=r"teacher's probabilities of image 1 \(0_class0/000001\.png\) are not"):
            method.choose(images, np.array([0, 1]), count=1, rng=np.random.default_rng(0))
    with pytest.raises(UserError, match="teacher's probabilities of image 1"):
        Rded(predict).make(images, per_class=1, seed=0, out=tmp_path / "out")
