"""Loops tell how far they are, and nothing is shown unless somebody asks."""

import pytest

from roadstill.runs.progress import counter, say, showing, track


class Noted:
    """A display that keeps what it is told."""

    def __init__(self):
        self.seen = []

    def task(self, what, total, done):
        self.seen.append(("begins", what, total, done))
        return self

    def to(self, done, total):
        self.seen.append((done, total))

    def close(self):
        self.seen.append("ends")

    def say(self, line):
        self.seen.append(line)


@pytest.fixture
def noted():
    display = Noted()
    with showing(display):
        yield display


def test_items_come_as_they_are_and_are_counted(noted):
    assert list(track([5, 6, 7], "things")) == [5, 6, 7]
    assert noted.seen == [("begins", "things", 3, 0), (1, 3), (2, 3), (3, 3), "ends"]


def test_what_an_earlier_call_has_done_counts(noted):
    assert list(track(range(8, 10), "steps", done=8)) == [8, 9]
    assert noted.seen == [("begins", "steps", 10, 8), (9, 10), (10, 10), "ends"]


def test_a_total_may_be_unknown_or_given(noted):
    list(track(iter("ab"), "letters"))
    list(track(iter("ab"), "letters", total=2))
    assert noted.seen[:3] == [("begins", "letters", None, 0), (1, None), (2, None)]
    assert noted.seen[4:7] == [("begins", "letters", 2, 0), (1, 2), (2, 2)]


def test_a_loop_that_fails_or_is_left_ends(noted):
    def fail():
        for _ in track([1, 2], "things"):
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert noted.seen == [("begins", "things", 2, 0), "ends"]


def test_a_counter_begins_at_once_and_ends_with_its_last_call(noted):
    count = counter("logs")
    assert noted.seen == [("begins", "logs", None, 0)]
    count(1, 2)
    count(2, 2)
    assert noted.seen[1:] == [(1, 2), (2, 2), "ends"]


def test_without_a_display_nothing_is_shown(noted, capfd):
    with showing(None):
        assert list(track([1], "things")) == [1]
        counter("logs")(1, 1)
        say("hello")
    assert noted.seen == []
    assert capfd.readouterr() == ("", "")
    say("hello")
    assert noted.seen == ["hello"]
