import io
import os
from contextlib import suppress

import numpy as np
import pytest
from PIL import Image

from roadstill.images import BrokenImage, centre_square, encode_png, has_hole, read_image


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


# ---- kinds of pixels


def grey_16(tmp_path, kind):
    """A picture of 16 bits whose pixels are 0, 90, 170, 255 of 255."""
    values = (np.array([[0, 90, 170, 255]]) * 257).astype(np.uint16)
    path = tmp_path / f"grey.{kind.partition(' ')[0]}"
    if kind == "pgm":
        path.write_bytes(b"P5 4 1 65535\n" + values.astype(">u2").tobytes())
    elif kind == "pgm of 12 bits":
        path.write_bytes(b"P5 4 1 4095\n" + (values // 16).astype(">u2").tobytes())
    elif kind == "tif with white as 0":
        Image.fromarray(65535 - values).save(path, tiffinfo={262: 0})
    else:
        Image.fromarray(values).save(path, **({"compression": "tiff_lzw"} if "lzw" in kind else {}))
    return path


@pytest.mark.parametrize("kind", ["png", "tif", "tif lzw", "tif with white as 0", "pgm", "pgm of 12 bits"])
def test_grey_of_16_bits_is_scaled(tmp_path, kind):
    found = np.asarray(read_image(grey_16(tmp_path, kind), at_least_px=1))
    np.testing.assert_array_equal(found, np.array([[[0] * 3, [90] * 3, [170] * 3, [255] * 3]]))


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (np.full((4, 4), 1 << 20, np.int32), "32-bit pixels"),
        (np.full((4, 4), 0.5, np.float32), "floating-point pixels"),
        (np.full((4, 4), np.nan, np.float32), "floating-point pixels"),
    ],
)
def test_pixels_without_a_stated_range_are_refused(tmp_path, values, reason):
    Image.fromarray(values).save(tmp_path / "a.tif")
    with pytest.raises(BrokenImage, match=f"a.tif: {reason}, whose range the file does not state"):
        read_image(tmp_path / "a.tif")


def test_transparency_is_dropped_and_the_colours_kept(tmp_path):
    pixels = np.dstack([noise(6, 4), np.zeros((4, 6), np.uint8)])
    Image.fromarray(pixels).save(tmp_path / "a.png")
    np.testing.assert_array_equal(np.asarray(read_image(tmp_path / "a.png")), noise(6, 4))
    palette = Image.fromarray(noise(6, 4)).convert("P")  # of which Pillow warns
    palette.save(tmp_path / "p.png", transparency=bytes(256))
    assert read_image(tmp_path / "p.png").mode == "RGB"


# ---- untrusted files


def jpeg(pixels, **settings):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", **settings)
    return buffer.getvalue()


@pytest.mark.parametrize("settings", [{}, {"optimize": True}, {"progressive": True}, {"subsampling": 0}])
@pytest.mark.parametrize("where", ["all", "second half", "one sector"])
def test_a_hole_in_a_jpeg_is_damage(settings, where):
    """libjpeg decodes all of them without an error."""
    whole = jpeg(noise(256, 256), quality=90, **settings)
    start, stop = whole.index(b"\xff\xda") + 20, len(whole) - 2
    if where == "second half":
        start = (start + stop) // 2
    elif where == "one sector":
        start = (start + stop) // 2
        stop = start + 512
    read_image(io.BytesIO(whole))
    with pytest.raises(BrokenImage, match="zeros inside"):
        read_image(io.BytesIO(whole[:start] + bytes(stop - start) + whole[stop:]), at_least_px=32)


def test_zeros_that_mean_something_are_no_hole():
    flat = jpeg(np.zeros((1024, 1024, 3), np.uint8), optimize=True)
    assert bytes(2000) in flat
    assert not has_hole(flat)
    whole = jpeg(noise(64, 64))
    assert not has_hole(whole + bytes(4096))  # after the end
    assert not has_hole(whole[:2] + b"\xff\xe5\x08\x02" + bytes(2048) + whole[2:])  # in what a camera adds
    assert not has_hole(bytes(4096))
    assert not has_hole(b"\xff\xd8\xff\xc4")


@pytest.mark.parametrize("kind", ["pipe", "device", "loop", "folder"])
def test_what_is_no_file_is_not_opened(tmp_path, kind):
    path = tmp_path / "a.jpg"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero" if kind == "device" else path)
    with pytest.raises(BrokenImage, match="not a file" if kind != "loop" else "symbolic links"):
        read_image(path)


def test_a_file_too_large_is_not_read(tmp_path):
    with (tmp_path / "a.bmp").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(BrokenImage, match="bytes are more than"):
        read_image(tmp_path / "a.bmp")


def test_a_format_that_starts_other_programs_is_not_tried(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.eps")
    with pytest.raises(BrokenImage, match=r"a\.eps: no picture of the formats JPEG"):
        read_image(tmp_path / "a.eps")


@pytest.mark.parametrize("kind", ["PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM", "JPEG"])
def test_damaged_bytes_are_broken_pictures_or_pictures(kind):
    buffer = io.BytesIO()
    Image.fromarray(noise(16, 16)).save(buffer, kind)
    whole, rng = buffer.getvalue(), np.random.default_rng(0)
    for _ in range(150):
        data = bytearray(whole)
        for place in rng.integers(0, min(len(data), 200), 3):
            data[place] = rng.integers(256)
        with suppress(BrokenImage):
            assert read_image(io.BytesIO(data)).mode == "RGB"
