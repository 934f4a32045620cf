"""Bad runs, their book of records, and ledgers of the test part."""

import math
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
from hostile import Case, check, copied, each, edited

RUN = "other-1"
SETS = ("compare", "set", "other", "--test", "judged", "--seeds", 3)
AGENT = ("--agent.network", "convnet", "--agent.steps", 1)


def without_book(folder, good):
    path = copied(good, "runs", folder)
    (path / "records.jsonl").unlink()
    return path


def with_record(name, says, change):
    """A case whose run.json is changed; no book of records tells."""

    def command(folder, good):
        edited(without_book(folder, good) / RUN / "run.json", change)
        return "compare", "runs"

    return Case(name, command, says)


def with_text(name, says, text):
    def command(folder, good):
        (without_book(folder, good) / RUN / "run.json").write_bytes(text if isinstance(text, bytes) else text.encode())
        return "compare", "runs"

    return Case(name, command, says)


def with_table(name, says, change):
    """A case whose predictions are another table."""

    def command(folder, good):
        path = without_book(folder, good) / RUN / "predictions.parquet"
        table = change(pq.read_table(path))
        pq.write_table(table, path)
        return "compare", "runs"

    return Case(name, command, says)


def with_book(name, says, change):
    """A case in which a run or the book of records is changed after it was written."""

    def command(folder, good):
        change(copied(good, "runs", folder))
        return "compare", "runs"

    return Case(name, command, says)


def with_ledger(name, says, change):
    """A case whose ledger is changed before the test part is opened again."""

    def command(folder, good):
        from roadstill.evaluation import note_outcome, open_test

        for part in ("set", "other", "judged"):
            copied(good, part, folder)
        ledger = folder / "test_ledger.jsonl"
        for what in ("first", "second"):
            opened = open_test(folder / "judged", ledger=ledger, config=None, what=what)
            note_outcome(opened, ledger=ledger, outcome={"better": False})
        lines = ledger.read_text().splitlines(keepends=True)
        ledger.write_text("".join(change(lines) or lines))
        return *SETS, *AGENT

    return Case(name, command, says)


def replaced(column, values):
    def change(table):
        return table.set_column(table.schema.get_field_index(column), column, pa.array(values(len(table))))

    return change


def field(name, value):
    return lambda record: record.update({name: value})


def about(**values):
    return lambda record: record["about"].update(values)


def evaluation(**values):
    return lambda record: record["evaluation"].update(values)


def all_labels(value):
    return replaced("label", lambda rows: [value] * rows)


def one_long(rows):
    return ["x" * 10_000_000] + ["y"] * (rows - 1)


def without_label(table):
    return table.drop_columns(["label"])


def with_line(place, text):
    return lambda lines: [*lines[:place], f"{text}\n", *lines[place:]]


def edit_seed(runs):
    edited(runs / RUN / "run.json", field("seed", 9))


def edit_prediction(runs):
    path = runs / RUN / "predictions.parquet"
    pq.write_table(replaced("p0", lambda rows: [0.5] * rows)(pq.read_table(path)), path)


def swap_runs(runs):
    for file in ("run.json", "predictions.parquet"):
        shutil.copyfile(runs / "other-0" / file, runs / RUN / file)


def in_book(change):
    def edit(runs):
        lines = (runs / "records.jsonl").read_text().splitlines(keepends=True)
        (runs / "records.jsonl").write_text("".join(change(lines) or lines))

    return edit


def drop(place):
    return lambda lines: lines[:place] + lines[place + 1 :]


def word(place, old, new):
    return lambda lines: [*lines[:place], lines[place].replace(old, new), *lines[place + 1 :]]


def swap(lines):
    return [lines[1], lines[0], *lines[2:]]


def elsewhere(runs):
    from roadstill.evaluation.chain import append

    append(runs / "records.jsonl", [{"path": "../../../etc/passwd", "content": "0" * 16}])


def evaluating(name, says, *words):
    def command(folder, good):
        copied(good, "agent", folder)
        copied(good, "other", folder)
        return "evaluate", "agent", "other", *words

    return Case(name, command, says)


ABOVE = {"step": 1, "accuracy": 2, "balanced_accuracy": 0}
RECORD = r"other-1/run\.json"
TABLE = r"other-1/predictions\.parquet"
CASES = [
    with_text("empty", rf"{RECORD} cannot be read as JSON", ""),
    with_text("list", rf"{RECORD} is not of format", "[]"),
    with_text("deep", rf"{RECORD} cannot be read as JSON: its lists", "[" * 100_000),
    with_text("binary", rf"{RECORD} cannot be read: it is no text", b"\xff\xfe"),
    with_record("format", rf"{RECORD} is not of format", field("format", "roadstill-run-9")),
    with_record("arm-list", rf"{RECORD}, arm: ", field("arm", ["a"])),
    with_record("arm-climbs", rf"{RECORD}: arm '\.\./\.\./x' cannot", field("arm", "../../x")),
    with_record("arm-escapes", rf"{RECORD}: arm .*\\x1b", field("arm", "\x1b[2J")),
    with_record("seed-text", rf"{RECORD}, seed: ", field("seed", "0")),
    with_record("seed-huge", rf"{RECORD}, seed: ", field("seed", 2**70)),
    with_record("seed-missing", rf"{RECORD}: .*seed", lambda record: record.pop("seed") and None),
    with_record("cluster-unknown", rf"{RECORD}, clusters", field("clusters", ["label"])),
    with_record("stratum-missing", rf"{TABLE} is damaged \(it has no column 'moon'", field("strata", ["moon"])),
    with_record("about-list", rf"{RECORD}, about: ", field("about", [])),
    with_record("steps-text", rf"{RECORD}, about\.steps: ", about(steps="many")),
    with_record("bytes-negative", rf"{RECORD}, about\.bytes: ", about(bytes=-1)),
    with_record("chosen-text", rf"{RECORD}, about\.chosen", about(chosen="best")),
    with_record("chosen-above-1", rf"{RECORD}, about\.chosen", about(chosen=ABOVE)),
    with_record("threshold-key", rf"{RECORD}: thresholds: 'x'", field("thresholds", {"x": 0.5})),
    with_record("threshold-text", rf"{RECORD}, thresholds", field("thresholds", {"0.05": "low"})),
    with_record("evaluation-list", rf"{RECORD}, evaluation: ", field("evaluation", [])),
    with_record("classes-none", rf"{RECORD}, evaluation\.class_names: ", evaluation(class_names=[])),
    with_record("classes-more", rf"{TABLE} is damaged \(it has no column 'p2'", evaluation(class_names=list("abc"))),
    with_record("images-other", r"evaluated on other images", evaluation(images="0" * 16)),
    with_record("accuracy-nan", rf"{RECORD} cannot be read as JSON: it holds NaN", evaluation(accuracy=math.nan)),
    with_table("label-beyond", rf"{TABLE} is damaged \(labels are not in 0\.\.1", all_labels(7)),
    with_table("label-negative", rf"{TABLE} is damaged \(labels", all_labels(-1)),
    with_table("label-text", rf"{TABLE} is damaged", all_labels("x")),
    with_table("label-null", rf"{TABLE} is damaged", all_labels(None)),
    with_table("p-nan", rf"{TABLE} is damaged .*finite", replaced("p0", lambda rows: [math.nan] * rows)),
    with_table("p-above-1", rf"{TABLE} is damaged .*sum to 1", replaced("p0", lambda rows: [5.0] * rows)),
    with_table("p-text", rf"{TABLE} is damaged", replaced("p1", lambda rows: ["x"] * rows)),
    with_table("p-lists", rf"{TABLE} is damaged", replaced("p1", lambda rows: [[0.5]] * rows)),
    with_table("log-null", rf"{TABLE} is damaged .*no name", replaced("log", lambda rows: [None] * rows)),
    with_table("log-long", rf"{TABLE} is damaged .*longer", replaced("log", one_long)),
    with_table("no-rows", rf"{TABLE} is damaged", lambda table: table.slice(0, 0)),
    with_table("no-label", rf"{TABLE} is damaged \(it has no column 'label'", without_label),
    with_book("seed-edited", rf"{RECORD} was changed after it was written", edit_seed),
    with_book("prediction-edited", rf"{TABLE} was changed after it was written", edit_prediction),
    with_book("run-swapped", r"other-1/.* was changed after it was written", swap_runs),
    with_book("book-line-gone", r"records\.jsonl, line 3 does not follow", in_book(drop(2))),
    with_book("book-line-edited", r"records\.jsonl, line 2 was changed", in_book(word(1, "random", "rindom"))),
    with_book("book-line-moved", r"records\.jsonl, line 1 does not follow", in_book(swap)),
    with_book("book-line-nonsense", r"records\.jsonl, line 3 is no record", in_book(with_line(2, "x"))),
    with_book("book-names-elsewhere", r"records\.jsonl, record 13: .*leaves the folder", elsewhere),
    with_ledger("ledger-edited", r"test_ledger\.jsonl, line 1 was changed .*move it away", word(0, "first", "third")),
    with_ledger("ledger-outcome-edited", r"test_ledger\.jsonl, line 2 was changed", word(1, "false", "true")),
    with_ledger("ledger-line-gone", r"test_ledger\.jsonl, line 2 does not follow", drop(1)),
    with_ledger("ledger-moved", r"test_ledger\.jsonl, line 1 does not follow", swap),
    with_ledger("ledger-binary", r"test_ledger\.jsonl", with_line(0, "\x00" * 50)),
    with_ledger("ledger-deep", r"test_ledger\.jsonl, line 1 is no record", with_line(0, "[" * 10_000)),
    with_ledger("ledger-number", r"test_ledger\.jsonl, line 5 .*other means", with_line(4, '{"opening": 9}')),
    evaluating("arm-separator", r"arm 'a/b' cannot name a folder", "--arm", "a/b"),
    evaluating("arm-dots", r"arm '\.\.' cannot name a folder", "--arm", ".."),
]  # fmt: skip


@each(CASES)
def test_a_bad_run(case, good, tmp_path, capfd, monkeypatch):
    check(case, good, tmp_path, capfd, monkeypatch)
