"""What a terminal, a pipe and a program see of the progress."""

import io
import json
import logging
import sys
import warnings

import pytest

from roadstill.cli import displays, main
from roadstill.cli.displays import Bars, Records, display_of, duration, line_of, warnings_as_json
from roadstill.runs.progress import showing, track


class Clock:
    """A clock that goes on by some seconds with every item of a loop."""

    def __init__(self):
        self.now_s = 100.0

    def __call__(self):
        return self.now_s

    def items(self, count, each_s):
        for number in range(count):
            self.now_s += each_s
            yield number


def shown(*loops):
    """The records of loops (count, seconds of each item), one after another."""
    records, clock = [], Clock()
    with showing(Records(records.append, clock)):
        for count, each_s in loops:
            list(track(clock.items(count, each_s), "steps", total=count))
    return records


def test_short_work_shows_nothing():
    assert shown((10, 0.1)) == []


def test_long_work_shows_a_line_every_ten_seconds_with_rate_and_time_left():
    found = shown((100, 0.5))
    assert [(each["event"], each["done"]) for each in found] == [
        ("progress", 4), ("progress", 24), ("progress", 44), ("progress", 64), ("progress", 84), ("finished", 100)
    ]  # fmt: skip
    assert found[1] == {
        "event": "progress", "what": "steps", "done": 24, "total": 100, "per_s": 2.0, "seconds": 12.0, "left_s": 38.0
    }  # fmt: skip


def test_loops_within_loops_share_the_ten_seconds():
    records, clock = [], Clock()
    with showing(Records(records.append, clock)):
        for _ in track(range(3), "rounds"):
            list(track(clock.items(12, 1.0), "steps", total=12))
    running = [each for each in records if each["event"] == "progress"]
    assert len(running) == 4
    assert [each["done"] for each in records if each["event"] == "finished" and each["what"] == "rounds"] == [3]


def test_rate_and_time_left_are_those_of_this_call():
    records, clock = [], Clock()
    with showing(Records(records.append, clock)):
        list(track(clock.items(10, 2.0), "steps", total=110, done=100))
    assert (records[0]["done"], records[0]["per_s"], records[0]["left_s"]) == (101, 0.5, 18.0)


@pytest.mark.parametrize(
    ("record", "line"),
    [
        ({"event": "say", "text": "encode"}, "encode"),
        ({"event": "progress", "what": "logs", "done": 1200, "total": 5000, "per_s": 12.34, "left_s": 308.0},
         "logs 1,200/5,000, 12.3 a second, 5 min 08 s left"),
        ({"event": "progress", "what": "steps", "done": 3, "total": None, "per_s": 0.25, "left_s": None},
         "steps 3, 4 s each"),
        ({"event": "finished", "what": "steps", "done": 3, "total": 3, "seconds": 61.2}, "steps 3/3 in 1 min 01 s"),
        ({"event": "end", "seconds": 7500, "next": "roadstill doctor"}, "took 2 h 05 min; next: roadstill doctor"),
    ],
)  # fmt: skip
def test_records_as_lines(record, line):
    assert line_of(record) == line


@pytest.mark.parametrize(("seconds", "said"), [(0.04, "0.0 s"), (9.96, "10.0 s"), (59.4, "59 s"), (59.6, "1 min 00 s")])
def test_durations(seconds, said):
    assert duration(seconds) == said


def test_a_terminal_gets_a_bar(monkeypatch):
    screen = io.StringIO()
    screen.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(displays, "_SHORT_S", 0)
    display = display_of([])
    assert isinstance(display, Bars)
    with showing(display):
        list(track(range(3), "pictures"))
        display.say("a line\x1b[2J")
    assert "pictures: 100%" in screen.getvalue()
    assert "· a line\\x1b[2J\n" in screen.getvalue()


@pytest.mark.parametrize("flags", [[], ["--log-json"], ["--quiet"]])
def test_only_the_first_process_shows_anything(flags):
    assert display_of(flags, is_first=False) is None
    assert (display_of(flags) is None) == (flags == ["--quiet"])


def params(*flags, capsys):
    assert main(["params", "--backbone", "DiT-S/2", *flags]) == 0
    found = capsys.readouterr()
    assert "all parameters" in found.out
    return found.err


def test_a_verb_ends_with_its_time_and_the_next_command(capsys):
    (line,) = params(capsys=capsys).splitlines()
    assert line.startswith("· took ")
    assert line.endswith("; next: roadstill finetune --help")


def test_quiet_leaves_the_result_alone(capsys):
    assert params("--quiet", capsys=capsys) == ""


@pytest.mark.parametrize("flag", ["--log-json", "--log_json"])
def test_json_for_programs(flag, capsys):
    (line,) = params(flag, capsys=capsys).splitlines()
    record = json.loads(line)
    assert (record["event"], record["verb"], record["next"]) == ("end", "params", "roadstill finetune --help")
    assert "all parameters" in record["said"]


def test_an_error_is_a_line_of_json_too(capsys):
    assert main(["--log-json", "paramz"]) == 2
    found = capsys.readouterr()
    assert json.loads(found.err) == {
        "event": "error", "code": 2, "text": "there is no verb 'paramz'; did you mean 'params'?"
    }  # fmt: skip
    assert found.out == ""


def test_quiet_does_not_hide_an_error(capsys):
    assert main(["paramz", "--quiet"]) == 2
    assert capsys.readouterr().err == "roadstill: there is no verb 'paramz'; did you mean 'params'?\n"


def test_warnings_are_lines_of_json(capsys):
    with warnings.catch_warnings(), warnings_as_json():
        warnings.simplefilter("always")
        logging.getLogger("roadstill.somewhere").warning("one")
        warnings.warn("two", stacklevel=1)
    found = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert found == [{"event": "warning", "text": "one"}, {"event": "warning", "text": "two"}]
