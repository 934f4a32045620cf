"""What goes to the page: nothing that a file says becomes markup."""

from made_run import fake_run

from roadstill.app import html
from roadstill.app.arms import table_of
from roadstill.app.play import Drawn
from roadstill.report.captions import Tile

EVIL = '"><script>alert(1)</script><img src=x onerror=alert(1)>'


def harmless(text):
    assert EVIL not in text
    assert "<script" not in text
    assert "<img src=x" not in text
    assert "&lt;script&gt;" in text


def test_tiles_show_label_caption_seed_and_the_real_frame_beside():
    near = Tile("data:b", 8, "near", "real, 0.10", (("label", "brake"), ("log", "l")))
    tile = Tile("data:a", 8, "alt", "guidance 4, teacher 0.91", (("label", "brake"), ("seed", "17")), near)
    text = html.tiles([tile])
    for said in (
        'src="data:a"',
        'src="data:b"',
        "<strong>brake</strong> guidance 4, teacher 0.91<br>seed 17",
        "real, 0.10",
    ):
        assert said in text
    assert "seed" not in html.tiles([near])


def test_names_out_of_files_are_escaped(tmp_path):
    harmless(html.tiles([Tile("data:a", 8, EVIL, EVIL, (("label", EVIL), (EVIL, EVIL)))]))
    harmless(html.drawn([Drawn(b"png", EVIL, 0, 1, ((EVIL, EVIL),))]))
    harmless(html.note(EVIL))
    harmless(html.heading(EVIL))
    harmless(html.found(EVIL, 1, 2, 1, 1))
    table = table_of(fake_run(tmp_path / "run"))
    assert table is not None
    row = {**table["rows"][1], "label": EVIL, "words": EVIL, "verdict": {**table["rows"][1]["verdict"], "word": EVIL}}
    harmless(html.arms({**table, "rows": [row], "caveats": [EVIL]}))


def test_titles_of_widgets_say_names_letter_by_letter():
    assert html.plain("![a](b) *c*\n") == r"\!\[a\]\(b\) \*c\*\\n"


def test_drawn_pictures_are_the_files_themselves():
    text = html.drawn([Drawn(b"abc", "not_brake", 3, 99, (("guidance", "4"),))])
    assert 'src="data:image/png;base64,YWJj"' in text
    assert "<strong>not brake</strong>, picture 3<br>seed 99" in text


def test_the_table_tells_verdict_interval_and_cost(tmp_path):
    table = table_of(fake_run(tmp_path / "run"))
    assert table is not None
    text = html.arms(table)
    assert '<td class="rs-better">better</td>' in text
    assert "<small>+3.0 to +11.0</small>" in text
    assert "images" in text
    assert html.style().startswith("<style>")
