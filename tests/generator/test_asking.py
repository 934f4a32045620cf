"""What pictures are asked to show: words over a closed vocabulary, and strata that a set lacks."""

from collections import Counter

import pytest
from toys import pictureless

from roadstill.denoisers.base import Sampling
from roadstill.errors import UserError
from roadstill.generator.asking import asked_of, read_where
from roadstill.runs import plain

KNOWN = {
    "cause": ("red_light", "light", "slow lead", "clear"),
    "light": ("day", "night"),
    "weather": ("clear", "rain", "light-rain"),
}
NAMES = ("not_brake", "brake")


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("night rain, red light", {"light": "night", "weather": "rain", "cause": "red_light"}),
        ("Red-Light", {"cause": "red_light"}),
        ("night slow_lead", {"light": "night", "cause": "slow lead"}),
        ("red light rain", {"cause": "red_light", "weather": "rain"}),  # the longest value wins from the left
        ("light", {"cause": "light"}),
        ("light rain", {"weather": "light-rain"}),
        ("light, rain", {"cause": "light", "weather": "rain"}),
        ("{light: night, weather: Light Rain}", {"light": "night", "weather": "light-rain"}),
        ({"weather": "clear"}, {"weather": "clear"}),
    ],
)
def test_words_and_mappings_name_values(given, found):
    assert read_where(given, KNOWN) == found


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (
            "foggy night",
            "'foggy' is unknown; this generator knows cause: red_light, .*; light: day, night; weather: .*rain",
        ),
        ("night, day", "asks for 'night' and 'day', but both are light"),
        ("clear", r"'clear' may be \{cause: clear\} or \{weather: clear\}; give where as such a mapping"),
        ({"light": "fog"}, "'light: fog' is unknown; this generator knows"),
        ({"town": "x"}, "'town' is unknown; this generator knows"),
        ("{light: [", "where"),
    ],
)
def test_words_that_fit_no_value_or_several(given, says):
    with pytest.raises(UserError, match=says) as caught:
        read_where(given, KNOWN)
    assert "\n" not in str(caught.value)


def test_a_generator_without_attributes_cannot_be_asked():
    with pytest.raises(UserError, match=r"knows no attributes; train one with attributes\.names"):
        read_where("night", {})
    with pytest.raises(UserError, match="knows no 'light'; it knows no attributes"):
        asked_of(Sampling(strata=("light",)), {}, NAMES, 1, 0)


def test_settings_are_recorded_only_when_given():
    assert not {"where", "strata"} & plain(Sampling()).keys()
    assert plain(Sampling(where={"light": "night"}, strata=("weather",)))["where"] == {"light": "night"}
    with pytest.raises(UserError, match="strata and where both name 'light'"):
        Sampling(where={"light": "night"}, strata=("light",))


def strata(asked, label, per_class):
    return Counter(tuple(each.values()) for each in asked[label * per_class : (label + 1) * per_class])


def test_pictures_are_spread_evenly_and_where_holds_for_all():
    config = Sampling(strata=("light", "weather"), where={"cause": "clear"})
    asked = asked_of(config, KNOWN, NAMES, 13, 0)
    assert len(asked) == 26
    for label in (0, 1):
        counts = strata(asked, label, 13)
        assert sorted(counts.values()) == [2, 2, 2, 2, 2, 3]
    assert {each["cause"] for each in asked} == {"clear"}
    # More pictures leave the first ones what they were; another seed has another order.
    few = asked_of(config, KNOWN, NAMES, 4, 0)
    assert (few[:4], few[4:]) == (asked[:4], asked[13:17])
    assert asked_of(config, KNOWN, NAMES, 4, 1) != few


def test_strata_that_a_set_lacks_come_first():
    facts = [{"light": "day", "weather": "clear", "cause": "clear"}] * 3
    facts += [{"light": "night", "weather": "clear", "cause": "light"}, {"light": "day", "weather": "snow"}]
    fill = pictureless([0, 0, 1, 0, 1], facts=facts)
    fill = type(fill)(**vars(fill) | {"class_names": NAMES})
    asked = asked_of(Sampling(strata=("light",)), KNOWN, NAMES, 3, 0, fill)
    # not_brake has two by day and one by night; brake has two by day.
    assert strata(asked, 0, 3) == {("night",): 2, ("day",): 1}
    assert asked[0] == asked[3] == asked[4] == {"light": "night"}
    # Only what shows the same as `where` counts.
    asked = asked_of(Sampling(strata=("light",), where={"cause": "light"}), KNOWN, NAMES, 1, 0, fill)
    assert asked[0] == {"cause": "light", "light": "day"}


def test_strata_that_cannot_be_filled():
    fill = pictureless([0, 1], facts=[{"light": "day"}] * 2)
    with pytest.raises(UserError, match=r"fill needs sampling\.strata, some of cause, light, weather"):
        asked_of(Sampling(), KNOWN, ("class0", "class1"), 1, 0, fill)
    with pytest.raises(UserError, match="no image has the fact 'weather'"):
        asked_of(Sampling(strata=("weather",)), KNOWN, ("class0", "class1"), 1, 0, fill)
    with pytest.raises(UserError, match="has the classes"):
        asked_of(Sampling(strata=("light",)), KNOWN, NAMES, 1, 0, fill)
    many = {name: tuple(f"{name}{number}" for number in range(200)) for name in "abc"}
    with pytest.raises(UserError, match="8,000,000 combinations; name fewer"):
        asked_of(Sampling(strata=("a", "b", "c")), many, NAMES, 1, 0)
