"""Bad class folders and bad pictures in them."""

import io
import os
import re
import struct
import zlib

import numpy as np
from hostile import Case, check, each
from PIL import Image, PngImagePlugin

PARTLY = r"part of the input could not be read"


def noise(seed, size=(24, 24)):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), np.uint8))


def encoded(image, kind, **settings):
    buffer = io.BytesIO()
    image.save(buffer, kind, **settings)
    return buffer.getvalue()


def folders(folder):
    """Two classes of whole pictures."""
    for place, name in enumerate("ab"):
        (folder / "data" / name).mkdir(parents=True)
        for number in range(10):
            noise([place, number]).save(folder / "data" / name / f"{number}.png")
    return folder / "data"


def prepared(*options):
    return ("prepare", "data", "out", "--size_px", 16, *options)


def picture(name, says, data, file="odd.png"):
    """A case of one odd picture among whole ones: the others are prepared."""

    def command(folder, good):
        (folders(folder) / "a" / file).write_bytes(data() if callable(data) else data)
        return prepared()

    return Case(name, command, PARTLY, 3, ("out",)), says


def placed(name, says, place, *options, code=2):
    """A case that changes the folders."""

    def command(folder, good):
        place(folders(folder))
        return prepared(*options)

    return Case(name, command, says, code, ("out",) if code == 3 else ())


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, *more, bits=8, colours=0):
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colours, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(more)


def flat_png(side):
    """A PNG of a few kilobytes whose pixels are a hundred million and more."""
    packer = zlib.compressobj(9)
    row = bytes(side + 1)
    data = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    return png(side, side, chunk(b"IDAT", data), chunk(b"IEND", b""))


def text_bomb():
    info = PngImagePlugin.PngInfo()
    info.add_text("a", "x" * (900 * 2**10), zip=True)
    return png(8, 8, *[chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(2**26), 9))] * 3)


JPEG = encoded(noise(1, (256, 256)), "JPEG", quality=90)
AT = JPEG.index(b"\xff\xc0") + 5  # height and width
HOLE = JPEG[: len(JPEG) // 2] + bytes(4096) + JPEG[len(JPEG) // 2 + 4096 :]

PICTURES = [
    picture("png-20000-squared", "20000 x 20000|pixels", lambda: flat_png(20_000)),
    picture("png-13000-squared", "pixels", lambda: flat_png(13_000)),
    picture("png-4100-squared", "more than 2", lambda: flat_png(4100)),
    picture("png-header-2e9", "pixels|no picture", png(2**31 - 1, 2**31 - 1)),
    picture("png-of-no-size", "odd.png", png(0, 0)),
    picture("png-text-bomb", "odd.png", text_bomb),
    picture("png-profile-bomb", "odd.png",
            lambda: png(8, 8, chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(2**27), 9)))),
    picture("png-truncated", "truncated", encoded(noise(0), "PNG")[:-300]),
    picture("png-data-missing", "odd.png", png(8, 8, chunk(b"IEND", b""))),
    picture("jpg-truncated", "truncated", JPEG[: len(JPEG) // 2], "odd.jpg"),
    picture("jpg-hole", "zeros inside", HOLE, "odd.jpg"),
    picture("jpg-text", "no picture of the formats", b"hello", "odd.jpg"),
    picture("jpg-empty", "no picture of the formats", b"", "odd.jpg"),
    picture("jpg-is-postscript", "no picture of the formats", encoded(noise(0), "EPS"), "odd.jpg"),
    picture("jpg-is-pdf", "no picture of the formats", encoded(noise(0), "PDF"), "odd.jpg"),
    picture("jpg-is-html", "no picture of the formats", b"<!DOCTYPE html><html></html>", "odd.jpg"),
    picture("jpg-is-svg", "no picture of the formats", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "odd.jpg"),
    picture("jpg-65500-squared", "pixels", JPEG[:AT] + struct.pack(">HH", 65500, 65500) + JPEG[AT + 4 :], "odd.jpg"),
    picture("bmp-claims-much", "odd.bmp", encoded(noise(0), "BMP")[:18] + struct.pack("<ii", 10**5, 10**5)
            + encoded(noise(0), "BMP")[26:], "odd.bmp"),
    picture("gif-claims-much", "odd.png", b"GIF89a" + struct.pack("<HH", 65535, 65535) + bytes(20)),
    picture("ppm-claims-much", "odd.ppm", b"P6 100000 100000 255\n" + bytes(99), "odd.ppm"),
    picture("ppm-digits", "odd.ppm", b"P6 " + b"9" * 10**6 + b" 1 255\n", "odd.ppm"),
    picture("webp-claims-much", "odd.webp", lambda: _huge_webp(), "odd.webp"),
    picture("tif-32-bit", "32-bit pixels", encoded(Image.fromarray(np.full((8, 8), 9, np.int32)), "TIFF"), "odd.tif"),
    picture("tif-float", "floating-point pixels", encoded(Image.fromarray(np.ones((8, 8), np.float32)), "TIFF"),
            "odd.tif"),
    picture("tif-nan", "floating-point pixels",
            encoded(Image.fromarray(np.full((8, 8), np.nan, np.float32)), "TIFF"), "odd.tif"),
    picture("tif-loop", "odd.tif", b"II*\0\x08\0\0\0" + struct.pack("<H", 0) + struct.pack("<I", 8), "odd.tif"),
    picture("tif-entries", "odd.tif", b"II*\0\x08\0\0\0" + struct.pack("<H", 65535) + bytes(12 * 65535), "odd.tif"),
    picture("pfm", "floating-point|no picture", b"Pf 4 4 -1.0\n" + bytes(64), "odd.ppm"),
]  # fmt: skip


def _huge_webp():
    """The header of a lossless WebP of 16,383 by 16,383."""
    bits = struct.pack("<I", 16382 | 16382 << 14)
    body = b"VP8L" + struct.pack("<I", 5 + 32) + b"\x2f" + bits + bytes(32)
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def _sparse(path):
    with path.open("wb") as file:
        file.truncate(2**40)


FOLDERS = [
    placed("pipe", PARTLY, lambda data: os.mkfifo(data / "a" / "odd.jpg"), code=3),
    placed("device", r"odd\.jpg is a link that leaves", lambda data: (data / "a" / "odd.jpg").symlink_to("/dev/zero")),
    placed("sparse-terabyte", PARTLY, lambda data: _sparse(data / "a" / "odd.jpg"), code=3),
    placed("link-to-itself", PARTLY, lambda data: (data / "a" / "odd.jpg").symlink_to("odd.jpg"), code=3),
    placed("link-to-nothing", PARTLY, lambda data: (data / "a" / "odd.jpg").symlink_to("gone.jpg"), code=3),
    placed("link-out", r"odd\.jpg is a link that leaves",
           lambda data: (data / "a" / "odd.jpg").symlink_to("/etc/passwd")),
    placed("link-up", r"a/up is a link to a folder", lambda data: (data / "a" / "up").symlink_to("..")),
    placed("class-link", r"c is a link to a folder", lambda data: (data / "c").symlink_to("a")),
    placed("class-empty", r"data/c holds no picture", lambda data: (data / "c").mkdir()),
    placed("class-of-tensors", r"data/c holds no picture .*, but NumPy files, which are not read; save each",
           lambda data: ((data / "c").mkdir(), np.save(data / "c" / "x.npy", np.zeros(3)))),
    placed("class-newline", r"the class folder 'a\\nb' cannot name a folder", lambda data: (data / "a\nb").mkdir()),
    placed("class-escape", r"the class folder .* cannot name", lambda data: (data / "\x1b[2J").mkdir()),
    placed("class-not-utf-8", r"the class folder .* cannot name", lambda data: os.mkdir(os.fsencode(data) + b"/\xff")),
    placed("class-reversing", r"the class folder .* cannot name", lambda data: (data / "a\u202eb").mkdir()),
    placed("class-script", r"the class folder .* cannot name", lambda data: (data / "<script>").mkdir()),
    placed("class-pipe", r"the class folder 'a\|b' cannot name", lambda data: (data / "a|b").mkdir()),
    placed("class-dots", r"the class folder 'a\.\.' cannot name", lambda data: (data / "a..").mkdir()),
    placed("class-long", r"the class folder .* cannot name", lambda data: (data / ("x" * 200)).mkdir()),
    placed("class-number-dots", r"the class folder '1_\.\.' cannot name",
           lambda data: [(data / old).rename(data / new) for old, new in (("a", "0_a"), ("b", "1_.."))]),
    placed("class-twice", r"holds two classes 'a'",
           lambda data: [(data / old).rename(data / new) for old, new in (("a", "0_a"), ("b", "1_a"))]),
    placed("parts-without-test", r"holds train, val, but no test",
           lambda data: [(data / old).rename(data / new) for old, new in (("a", "train"), ("b", "val"))]),
    placed("group-backtracks", r"group '\(\(\?:a\|a\)\+\)\$' takes too long on",
           lambda data: noise(7).save(data / "a" / f"{'a' * 60}!.png"), "--group", "((?:a|a)+)$"),
    placed("group-huge", r"group '\(a\{99999999\}\)' is too large", lambda data: None, "--group", "(a{99999999})"),
    placed("group-broken", r"group '\(' is not a regular expression", lambda data: None, "--group", "("),
    placed("group-finds-nothing", r"group '\(x\)' finds nothing in 20 of 20", lambda data: None, "--group", "(x)"),
    placed("group-too-few", r"2 groups cannot fill 3 parts", lambda data: None, "--group", "^(.)"),
    Case("out-within", lambda folder, good: (folders(folder), ("prepare", "data", "data/out"))[1], r"lies inside"),
    *(
        Case(f"tensors-{kind}", lambda folder, good, kind=kind: ((folder / f"x.{kind}").write_bytes(b"x"),
             ("prepare", f"x.{kind}", "out"))[1], rf"x\.{kind} is a \w+ file of tensors, which is not read; save each")
        for kind in ("npy", "npz", "h5", "safetensors")
    ),
]  # fmt: skip
CASES = [*(case for case, _ in PICTURES), *FOLDERS]


@each(FOLDERS)
def test_a_bad_folder(case, good, tmp_path, capfd, monkeypatch):
    check(case, good, tmp_path, capfd, monkeypatch)


@each([case for case, _ in PICTURES])
def test_a_bad_picture_is_listed_with_its_reason(case, good, tmp_path, capfd, monkeypatch):
    says = dict((each.name, text) for each, text in PICTURES)[case.name]
    check(case, good, tmp_path, capfd, monkeypatch)
    listed = "".join(path.read_text() for path in tmp_path.rglob("missing.txt"))
    assert listed.count("\n") == 1
    assert re.search(says, listed), listed
