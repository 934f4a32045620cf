"""What the first line of a table says: delimiters, headers, presets, and what contradicts them."""

import pytest

from roadstill.errors import UserError
from roadstill.sources.csv.config import CSV_PRESETS, CsvConfig
from roadstill.sources.csv.layout import find_layout

UDACITY = CSV_PRESETS["udacity"].columns
ROW = ("IMG/a.jpg", "IMG/b.jpg", "IMG/c.jpg", "0", "1", "0", "30.19")


def found(tmp_path, line, **settings):
    """The layout of a table with this first line."""
    path = tmp_path / "t.csv"
    path.write_bytes(line if isinstance(line, bytes) else f"{line}\n1,2,3\n".encode())
    return find_layout(path, CsvConfig(**settings).resolved(path))


def refusal(tmp_path, line, **settings):
    """Why there is none."""
    with pytest.raises(UserError) as error:
        found(tmp_path, line, **settings)
    assert str(error.value).isprintable()
    return str(error.value)


@pytest.mark.parametrize(("delimiter", "given"), [(";", "';'"), ("\t", "tab"), ("|", "'|'")])
@pytest.mark.parametrize("preset", [None, "udacity"])
def test_another_delimiter_is_named(tmp_path, delimiter, given, preset):
    names = UDACITY if preset else ("image", "time", "speed")
    said = refusal(tmp_path, delimiter.join(names), preset=preset)
    assert said.endswith(f"; its cells seem to lie between {given}: give --csv.delimiter {given}")
    assert f"its cells seem to lie between {given}" in refusal(tmp_path, delimiter.join(ROW), preset="udacity")
    layout = found(tmp_path, delimiter.join(names), preset=preset, delimiter="tab" if given == "tab" else delimiter)
    assert (layout.width, layout.header) == (len(names), True)


def test_a_delimiter_that_fits_is_not_doubted(tmp_path):
    assert "--csv.delimiter" not in refusal(tmp_path, "image,time;s,v")
    assert "--csv.delimiter" not in refusal(tmp_path, ",".join(ROW[:6]), preset="udacity")
    assert found(tmp_path, "image,time,speed;kmh", speed="speed;kmh").places == {"image": 0, "time": 1, "speed": 2}


@pytest.mark.parametrize("delimiter", ["", "ab", '"', "\n", "\0", "é"])
def test_what_is_no_delimiter(delimiter):
    with pytest.raises(UserError, match=r"csv\.delimiter .* should be one plain character, or tab"):
        CsvConfig(delimiter=delimiter)


def test_a_preset_with_and_without_header(tmp_path):
    assert found(tmp_path, ",".join(ROW), preset="udacity").header is False
    for line in (",".join(UDACITY), ", ".join(UDACITY), ",".join(map(str.title, UDACITY))):
        layout = found(tmp_path, line, preset="udacity")
        assert (layout.header, layout.places["speed"]) == (True, 6)


@pytest.mark.parametrize(
    "order", [(0, 1, 2, 6, 4, 5, 3), (6, 0, 1, 2, 3, 4, 5), (1, 0, 2, 3, 4, 5, 6), (0, 6, 3), (0, 1, 2, 3, 4, 6, 5)]
)
def test_a_header_in_another_order_than_the_presets_is_refused(tmp_path, order):
    names = [UDACITY[place] for place in order]
    said = refusal(tmp_path, ",".join(names), preset="udacity")
    assert f"names the columns in the order {', '.join(names)}, udacity has " in said
    assert "remove the header if it is wrong" in said


def test_columns_of_a_preset_may_be_left_out_or_joined_by_others(tmp_path):
    assert found(tmp_path, "center,speed", preset="udacity").places == {"image": 0, "speed": 1}
    assert found(tmp_path, "row,center,left,note,speed", preset="udacity").places == {"image": 1, "speed": 4}


def test_first_lines_that_are_none(tmp_path):
    assert "is no text in UTF-8" in refusal(tmp_path, "image,time,speed\n".encode("utf-16"))
    assert "is empty, or begins with an empty line" in refusal(tmp_path, b"")
    assert "is empty, or begins with an empty line" in refusal(tmp_path, b"\xef\xbb\xbf\n")
    assert "its first line is longer than 65,536 letters" in refusal(tmp_path, b"a," * 10**6)
    assert "no column 'image'" in refusal(tmp_path, b"image\0,time,speed\n")
    assert "no column 'image'" in refusal(tmp_path, b"\x1b[2J,\x07\n")
