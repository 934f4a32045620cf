"""Sets of a run: which there are, what they are sifted by, pages, and what is no run."""

import pytest
from made import picture_set
from made_run import fake_run

from roadstill.app.browse import entries_of, lens_of, open_entry, page_of, require_run, rows_of, strata_of
from roadstill.errors import UserError
from roadstill.report.lens import Lens

RECIPE = "arms:\n  random: {label: Random frames}\n  base: {label: Made}\n  full: {label: Made}\n"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    made = fake_run(tmp_path_factory.mktemp("app") / "run")
    (made / "recipe.yaml").write_text(RECIPE)
    (made / "sets" / "test").symlink_to(made / "sets" / "dev")
    return made


def entry(run, title):
    return next(each for each in entries_of(run) if each.title == title)


def test_sets_stand_in_the_order_of_the_recipe_and_the_test_part_stays_closed(run):
    titles = [each.title for each in entries_of(run)]
    assert titles[:4] == ["Training part", "Dev part", "Random frames, set 0", "Random frames, set 1"]
    assert titles[4:6] == ["Made (base), set 0", "Made (base), set 1"]
    assert "difffit-lora, set 0" in titles
    assert not any("test" in str(each.folder.relative_to(run)) for each in entries_of(run))


def test_sets_that_a_link_leads_to_elsewhere_are_none_of_the_run(tmp_path):
    picture_set(tmp_path / "elsewhere", 4)
    picture_set(tmp_path / "run" / "sets" / "train", 4)
    (tmp_path / "run" / "arms" / "a").mkdir(parents=True)
    for link in ("sets/dev", "arms/a/seed0"):
        (tmp_path / "run" / link).symlink_to(tmp_path / "elsewhere")
    assert [each.title for each in entries_of(tmp_path / "run")] == ["Training part"]


def test_a_recipe_that_cannot_be_read_does_not_hide_the_sets(tmp_path):
    picture_set(tmp_path / "sets" / "train", 4)
    (tmp_path / "recipe.yaml").write_text("arms: [")
    assert [each.title for each in entries_of(tmp_path)] == ["Training part"]


def test_strata_are_facts_that_say_what_a_picture_shows(tmp_path):
    facts = [
        {"weather": "rain", "light": "day", "town": "a", "mood": "x", "token": "1", "log": "l", "speed_mps": 3.0},
        {"weather": "clear", "light": "night", "town": "a", "mood": "y", "token": "2", "log": "m", "speed_mps": 4.0},
    ]
    images = picture_set(tmp_path / "set", 2)
    for place, more in enumerate(facts):
        images.facts[place].update(more)
    assert strata_of(images) == {"light": ["day", "night"], "weather": ["clear", "rain"], "mood": ["x", "y"]}


def test_rows_are_of_a_class_and_show_all_that_is_asked_for(run):
    images = open_entry(entry(run, "Training part"))
    assert len(rows_of(images)) == 28
    assert rows_of(images, 1) == [*range(14, 28)]
    rows = rows_of(images, 1, {"cause": "queue", "log": "log4"})
    assert rows
    assert all(images.facts[row]["cause"] == "queue" and images.facts[row]["log"] == "log4" for row in rows)
    assert rows_of(images, 0, {"cause": "fog"}) == []


def test_pages_divide_the_rows_and_numbers_beyond_them_are_the_nearest(run):
    images = open_entry(entry(run, "Training part"))
    pages = [page_of(images, range(7), number, "t", Lens(), size=3) for number in (0, 1, 2, 3, 9)]
    assert [len(page.tiles) for page in pages] == [3, 3, 3, 1, 1]
    assert [page.number for page in pages] == [1, 1, 2, 3, 3]
    assert {(page.pages, page.found) for page in pages} == {(3, 7)}
    nothing = page_of(images, [], 1, "t", Lens())
    assert (len(nothing.tiles), nothing.pages, nothing.found) == (0, 1, 0)


def test_made_pictures_tell_how_they_were_made_and_stand_beside_a_real_frame(run):
    lens, lacks = lens_of(run)
    (tile,) = page_of(open_entry(entry(run, "Made (base), set 0")), [3], 1, "Made", lens).tiles
    lines = dict(tile.lines)
    assert (lines["label"], lines["seed"], lines["guidance"]) == ("not brake", "6899862650048264406", "4")
    assert tile.near is not None
    assert lacks == ()


def test_a_teacher_that_cannot_be_read_is_named_and_the_pictures_are_shown(tmp_path):
    picture_set(tmp_path / "sets" / "train", 4)
    (tmp_path / "teacher").mkdir()
    (tmp_path / "teacher" / "agent.json").write_text("{")
    lens, lacks = lens_of(tmp_path)
    assert lens.real is not None
    assert lens.scores is None
    assert "agent.json" in lacks[0]


def test_a_set_that_was_made_anew_is_read_anew(tmp_path):
    picture_set(tmp_path / "sets" / "train", 4)
    before = open_entry(entry(tmp_path, "Training part"))
    picture_set(tmp_path / "other", 6, seed=1).save(tmp_path / "sets" / "train")
    after = open_entry(entry(tmp_path, "Training part"))
    assert (len(before), len(after)) == (4, 6)


def test_what_is_no_run_is_refused(tmp_path, run):
    assert require_run(run) == run
    with pytest.raises(UserError, match="run folder"):
        require_run(tmp_path / "nowhere")
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(UserError, match=r"is no run folder \(it has no recipe.yaml\)"):
        require_run(tmp_path)
