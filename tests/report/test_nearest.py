import numpy as np
import pytest

from roadstill.imagesets import ImageSetWriter, open_imageset
from roadstill.report import nearest
from roadstill.report.nearest import RealFrames


def of_blocks(folder, seed, count):
    """Pictures of random blocks, ten to a log."""
    generator = np.random.default_rng(seed)
    with ImageSetWriter(folder, ("a", "b"), 32) as writer:
        for number in range(count):
            blocks = generator.integers(0, 255, (4, 4, 3)).astype(np.uint8)
            writer.add(blocks.repeat(8, 0).repeat(8, 1), number % 2, {"log": f"log{number // 10}"})
    return open_imageset(folder)


@pytest.fixture
def frames(tmp_path):
    return of_blocks(tmp_path / "train", 0, 40)


def made_of(frames, folder, rows, noise):
    generator = np.random.default_rng(1)
    with ImageSetWriter(folder, frames.class_names, 32) as writer:
        for row in rows:
            pixels = frames.pixels([row])[0] + generator.normal(0, noise, (32, 32, 3))
            writer.add(pixels.clip(0, 255).astype(np.uint8), 0, {})
    return open_imageset(folder)


def test_a_noised_copy_finds_its_frame_and_is_very_near(frames, tmp_path):
    copies = made_of(frames, tmp_path / "copies", [3, 17, 31], 5)
    real = RealFrames(frames)
    found = real.of(copies, [0, 1, 2])
    assert [each.row for each in found] == [3, 17, 31]
    assert all(each.is_close and each.distance < 0.05 for each in found)
    assert not any(real.is_frame(copies, row) for row in range(3))
    assert real.is_frame(frames.subset([5]), 0)


def test_unrelated_pictures_are_not_near(frames, tmp_path):
    others = of_blocks(tmp_path / "others", 1, 100)
    found = RealFrames(frames).of(others, range(100))
    assert np.mean([each.is_close for each in found]) < 0.2
    assert RealFrames(frames).of(others, []) == []


def test_of_very_many_frames_a_fixed_draw_is_searched(frames, monkeypatch):
    monkeypatch.setattr(nearest, "MOST_FRAMES", 12)
    real = RealFrames(frames)
    assert len(set(real.rows.tolist())) == 12
    assert real.rows.tolist() == RealFrames(frames).rows.tolist()
    assert {each.row for each in real.of(frames, range(40))} <= set(real.rows.tolist())


def test_a_single_frame_or_log_is_enough(frames):
    one = frames.subset([0])
    assert RealFrames(one).of(frames, [1])[0].row == 0
    assert not RealFrames(one).of(frames, [1])[0].is_close
    assert RealFrames(frames.subset(range(5))).of(frames, [2])[0].is_close
