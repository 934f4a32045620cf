"""What sets stem from, and the licences that follow."""

import pytest

from roadstill.errors import UserError
from roadstill.imagesets.sources import KNOWN, licences_of, require_sources, source_of, sources_of, union


@pytest.mark.parametrize(
    ("about", "names"),
    [
        ({}, ()),
        ({"synthetic": True, "split": "train"}, ("world",)),
        ({"synthetic": False, "source": "cifar10"}, ("cifar10",)),
        ({"synthetic": False, "source": "navsim"}, ("navsim",)),
        ({"source": "my_sources.Recordings"}, ("my_sources.Recordings",)),
        ({"sources": ["navsim", "dit-weights", "navsim"], "synthetic": True}, ("dit-weights", "navsim")),
        ({"sources": "navsim"}, ()),
        ({"sources": [1, "", "x" * 201, "world"]}, ("world",)),
        ({"source": ["a"]}, ()),
    ],
)
def test_what_a_record_tells(about, names):
    assert sources_of(about) == names


def test_licences_are_a_union():
    assert licences_of(["world", "roadstill-weights"]) == ["apache-2.0"]
    assert licences_of(["world", "dit-weights", "navsim"]) == ["apache-2.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0"]
    assert licences_of(["cifar10"]) == licences_of([]) == licences_of(["of whoever"]) == ["unknown"]
    assert union(["b", "a"], ["b"]) == ("a", "b")


def test_every_known_source_says_its_conditions():
    for name, source in KNOWN.items():
        assert source_of(name) == source
        assert source.title
        assert source.conditions.endswith(".")
        assert (source.licence == "unknown") == (not source.url), name


def test_a_source_that_is_not_known_is_refused():
    require_sources(["navsim", "world"])
    with pytest.raises(UserError, match="source 'nusim' is unknown; choose among world, navsim"):
        require_sources(["nusim"])
