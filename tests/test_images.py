import numpy as np
import pytest
from PIL import Image

from roadstill.images import BrokenImage, centre_square, encode_png, read_image


def noise(width, height):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def test_reads_rgb_whatever_the_mode(tmp_path):
    for mode in ("RGB", "L", "RGBA", "P"):
        Image.fromarray(noise(6, 4)).convert(mode).save(tmp_path / f"{mode}.png")
        image = read_image(tmp_path / f"{mode}.png")
        assert (image.mode, image.size) == ("RGB", (6, 4))
    np.testing.assert_array_equal(np.asarray(read_image(tmp_path / "RGB.png")), noise(6, 4))


@pytest.mark.parametrize("kind", ["png", "jpg"])
def test_broken_pictures(tmp_path, kind):
    path = tmp_path / f"picture.{kind}"
    Image.fromarray(noise(64, 64)).save(path)
    whole = path.read_bytes()
    read_image(path)
    for content in (whole[: len(whole) // 2], whole[:20], b"", b"no picture at all", b"\0" * 500):
        path.write_bytes(content)
        with pytest.raises(BrokenImage, match="picture"):
            read_image(path)
    path.unlink()
    with pytest.raises(BrokenImage, match="missing"):
        read_image(path)
    path.mkdir()
    with pytest.raises(BrokenImage):
        read_image(path)


def test_a_picture_too_large_is_refused_before_it_is_decoded(tmp_path):
    Image.new("1", (4097, 4097)).save(tmp_path / "huge.png")
    with pytest.raises(BrokenImage, match="huge"):
        read_image(tmp_path / "huge.png")


def test_centre_square_takes_the_middle():
    """1080 of 1920 columns, 420..1500 (thesis 4.2)."""
    columns = np.broadcast_to(np.arange(1920)[None, :, None] // 8, (1080, 1920, 3)).astype(np.uint8)
    same = np.asarray(centre_square(Image.fromarray(columns), 1080))
    np.testing.assert_array_equal(same, columns[:, 420:1500])
    upright = np.asarray(centre_square(Image.fromarray(columns.transpose(1, 0, 2).copy()), 1080))
    np.testing.assert_array_equal(upright, columns.transpose(1, 0, 2)[420:1500])


def test_shrinking_is_antialiased():
    """A one-pixel chequerboard becomes grey; without antialiasing it would stay black and white."""
    board = (np.indices((256, 256)).sum(0) % 2 * 255).astype(np.uint8)[..., None].repeat(3, 2)
    small = np.asarray(centre_square(Image.fromarray(board), 32))
    assert small.min() > 100
    assert small.max() < 156


def test_png_keeps_every_pixel(tmp_path):
    (tmp_path / "a.png").write_bytes(encode_png(noise(8, 8)))
    np.testing.assert_array_equal(np.asarray(read_image(tmp_path / "a.png")), noise(8, 8))
