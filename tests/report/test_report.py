"""The report: made from whatever lies in a run folder, self-contained, escaped, the same bytes for the same files."""

import base64
import hashlib
import os
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest
from made import runs_of_two_arms
from made_run import ARMS, fake_comparison, fake_run, save_set
from PIL import Image, ImageFilter, ImageOps

from roadstill.errors import UserError
from roadstill.evaluation.chain import append
from roadstill.evaluation.compare import Comparison
from roadstill.evaluation.summary import ArmSummary, Spread
from roadstill.evaluation.verdicts import Verdict
from roadstill.frames.filters import FrameFilter, Funnel, FunnelRow, Sieve
from roadstill.imagesets import ImageSetWriter, open_imageset
from roadstill.report import drawing, figures, parts, sheets, verdicts, write_report
from roadstill.report.captions import jpeg_uri
from roadstill.report.costs import stage_records
from roadstill.report.sheets import arm_folders
from roadstill.runs import write_json

VOID = {"meta", "link", "img", "br", "hr", "input", "use", "path", "line", "rect", "col"}


class Outline(HTMLParser):
    """Collects what the checks below ask: ids, addresses, pictures, and whether every element is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.drawings: list[dict[str, str | None]] = []
        self.headings: list[int] = []
        self.tags: list[str] = []
        self.stack: list[str] = []

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.tags.append(tag)
        self.ids += [given["id"]] if "id" in given else []
        self.addresses += [given[key] for key in ("src", "href", "xlink:href") if given.get(key)]
        self.images += [given] if tag == "img" else []
        self.drawings += [given] if tag == "svg" else []
        self.headings += [int(tag[1])] if re.fullmatch("h[1-6]", tag) else []
        if tag not in VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.stack.pop()

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.stack.pop() == tag


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return fake_run(tmp_path_factory.mktemp("runs") / "demo")


@pytest.fixture(scope="module")
def html(run):
    return write_report(run).read_text(encoding="utf-8")


def read(html: str) -> Outline:
    outline = Outline()
    outline.feed(html)
    outline.close()
    assert outline.stack == []
    return outline


def written(run, compared):
    write_json(run / "comparison.json", compared)
    return write_report(run).read_text(encoding="utf-8")


def text_of(html: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", re.sub(r"<(svg|style|script)\b.*?</\1>", " ", html, flags=re.S)).split())


def test_full_run_shows_every_part(html):
    text = text_of(html)
    assert "is not in this run folder" not in text
    assert "could not be read" not in text
    for phrase in (
        "60.86 ± 6.69",
        "74.40 ± 2.35",
        "90.78",
        "not comparable",
        "20 times",
        "t = 150: 5.7 dB",
        "truncated",
    ):
        assert phrase in text
    assert "Synthetic data." in text


def test_a_test_part_of_its_own_has_a_funnel_of_its_own(html, tmp_path):
    assert "Filter funnel of the test part" not in html
    for folder, left in (("index", 4321), ("index-test", 1234)):
        rows = [{"rule": "all", "left": left, "not_brake": 0, "brake": left}]
        (tmp_path / folder).mkdir()
        write_json(tmp_path / folder / "funnel.json", {"rows": rows})
    page = write_report(tmp_path).read_text()
    assert page.index("4,321") < page.index("Filter funnel of the test part") < page.index("1,234")


def test_funnel_and_heatmap_show_any_number_of_classes(html, tmp_path):
    (tmp_path / "index").mkdir()
    classes = {"left": 1111, "straight_on": 2222, "right": 3333}
    Funnel((FunnelRow("all frames", 6666, classes),)).save(tmp_path / "index" / "funnel.json")
    Sieve((), FrameFilter()).save_motion(tmp_path / "index" / "motion.json")
    page = write_report(tmp_path).read_text()
    assert "all frames 6,666 1,111 2,222 3,333" in text_of(page)
    assert "frames left straight on right left" in text_of(page)
    widths = [float(width) for width in re.findall(r'<i style="width:([\d.]+)%', page)]
    assert widths == [16.7, 33.3, 50.0]
    assert "kept: brake" in html
    assert "kept: brake" not in page
    assert ">kept<" in page


def test_headline_says_every_verdict_in_words(html):
    heading = text_of(re.search(r"<h1>(.*?)</h1>", html, flags=re.S).group(1))
    assert "DiffFit + LoRA: better than Random real frames." in heading
    assert "Untouched generator: worse than Random real frames." in heading
    assert "DiffFit + LoRA + minimax: cannot be told apart from Random real frames." in heading
    assert "Full" not in heading  # a bound has another budget
    assert "a bound, not a competitor" in html


def test_a_weak_basis_is_marked_in_the_headline(tmp_path):
    compared = fake_comparison(np.random.default_rng(0))
    assert "weak basis" not in text_of(written(tmp_path, compared))
    compared["verdicts"]["difffit-lora"]["seeds"] = [0, 1, 2]
    heading = text_of(re.search(r"<h1.*?</h1>", written(tmp_path, compared), flags=re.S).group())
    assert "DiffFit + LoRA: better than Random real frames. weak basis: 3 seeds" in heading
    assert heading.count("weak") == 1


def test_sentences_call_arms_by_their_labels(tmp_path):
    compared = fake_comparison(np.random.default_rng(0))
    compared["caveats"] = ["difffit-lora was refined with convnet", "base: trained on the test part"]
    compared["verdicts"]["base"]["sentence"] = "base loses; a sentence of another form."
    text = text_of(written(tmp_path, compared))
    assert "DiffFit + LoRA is better than Random real frames: so." in text
    assert "Full training part is a bound of another budget, not judged against Random real frames: so." in text
    assert "Note. DiffFit + LoRA was refined with convnet." in text
    assert "Note. Untouched generator: trained on the test part." in text
    assert "base loses; a sentence of another form." in text


def test_a_comparison_of_an_earlier_version_is_shown(tmp_path):
    compared = fake_comparison(np.random.default_rng(0))
    for arm in compared["arms"].values():
        del arm["confusion"], arm["reliability"], arm["budget"]
        for names in arm["strata"].values():
            for stratum in names.values():
                del stratum["classes"]
    for verdict in compared["verdicts"].values():
        del verdict["seeds"]
    text = text_of(written(tmp_path, compared))
    assert "Accuracy, mean over the classes that occur, by cause" in text
    assert "Answers by true class" not in text
    assert "weak" not in text


def test_strata_say_what_they_are_and_what_is_too_little(html):
    text = text_of(html)
    assert "Balanced accuracy by location and town" in text
    assert text.count("las vegas / dryford") == 1
    assert "Share of right answers by cause" in text
    assert "pedestrian brake only 1 (100.0) (100.0)" in text
    assert "100.0 ± 0.0" not in text
    assert "open road not brake only 339 " in text


def test_cost_stands_beside_accuracy(html):
    table = re.search(r'<table id="arms".*?</table>', html, flags=re.S).group()
    heads = [text_of(head) for head in re.findall(r'<th scope="col">(.*?)</th>', table)]
    assert heads[:3] == ["trained on", "points above the baseline", "balanced accuracy"]
    assert heads[-5:] == ["images", "kB", "steps", "minutes", "thesis, accuracy"]
    row = text_of(re.search(r'<th scope="row">DiffFit \+ LoRA<.*?</tr>', table, flags=re.S).group())
    assert "+7.0 +3.0 to +11.0" in row
    assert row.endswith("20 20 40 3.6 74.40 ± 2.35")  # 180 s once, 30 s a set, 6 s an agent
    assert 'title="3.0 once, 0.5 a set, 0.1 an agent"' in table
    assert 'title="20 runs: ' in table


def test_made_pictures_stand_beside_real_frames_and_tell_how_they_were_made(html):
    pictures = html.partition('id="pictures"')[2].partition('id="data"')[0]
    for arm, pairs in (("Random real frames", 0), ("DiffFit + LoRA", 20)):
        sheet = pictures.partition(f"<h3>{arm}</h3>")[2].partition("</section>")[0]
        assert sheet.count("<li class=") == 20
        assert sheet.count('alt="nearest real frame') == pairs
        assert ("<dt>seed</dt><dd>6899862650048264406</dd>" in sheet) == bool(pairs)
    lines = re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", sheet)
    assert lines[:4] == [("label", "brake"), ("seed", "6899862650048264406"), ("guidance", "4"),
                         ("checkpoint", "26e1e51b12623f84")]  # fmt: skip


def test_failures_are_of_dev_by_cause_and_escaped(html):
    failed = html.partition('id="failures"')[2].partition('id="pictures"')[0]
    text = text_of(failed)
    assert "Frames of the dev part that the 15 agents got wrong most often, by cause." in text
    assert "&lt;b&gt;" in failed
    assert "<b>" not in failed
    assert '<option value="arm0">Random real frames</option>' in failed
    assert re.search(r"<dt>Full training part</dt><dd>\d of 3 wrong, gives its class 0\.\d\d</dd>", failed)


def test_a_run_without_pictures_is_shown(run, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(run, copy, ignore=shutil.ignore_patterns("arms", "sets", "report.html"))
    text = text_of(write_report(copy).read_text())
    assert "A set of images is not in this run folder" in text
    assert "could not be read" not in text
    assert "DiffFit + LoRA: better" in text


def test_page_asks_nobody_for_anything(html):
    outline = read(html)
    assert outline.tags.count("script") == 1
    assert all(address.startswith(("data:image/", "#")) for address in outline.addresses)
    assert not re.search(r"@import|url\((?!#|\"?data:)", html)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html).group(1)
    assert policy.startswith("default-src 'none'; img-src data:;")
    script = re.search(r"<script>(.*?)</script>", html, flags=re.S).group(1)
    assert f"script-src 'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" in policy
    assert len(script) < 10_000
    assert len(html.encode()) < 1_500_000


def test_page_can_be_read_without_eyes(html):
    outline = read(html)
    assert all(image["alt"] for image in outline.images)
    assert all(drawing["role"] == "img" and len(drawing["aria-label"]) > 20 for drawing in outline.drawings)
    assert outline.headings[0] == 1
    assert outline.headings.count(1) == 1
    assert all(after - before <= 1 for before, after in zip(outline.headings, outline.headings[1:], strict=False))
    assert len(outline.ids) == len(set(outline.ids))
    inside = {address[1:] for address in outline.addresses if address.startswith("#")}
    assert inside <= set(outline.ids)


def test_brake_stands_first(html):
    columns = re.findall(r'<th scope="col">(brake|not brake)</th>', html)
    assert columns[:2] == ["brake", "not brake"]
    pictures = html.partition('id="pictures"')[2]
    assert re.findall(r'class="class"><strong>(.*?)</strong>', pictures)[:2] == ["brake", "not brake"]


def test_same_files_same_bytes(run, html):
    assert write_report(run).read_text(encoding="utf-8") == html


def test_missing_parts_name_their_verbs(run, tmp_path):
    copy = tmp_path / "run"
    gone = ("comparison.json", "index", "finetune", "test_ledger.jsonl", "figures", "stages")
    shutil.copytree(run, copy, ignore=shutil.ignore_patterns(*gone, "report.html"))
    text = text_of(write_report(copy).read_text(encoding="utf-8"))
    named = re.findall(r"is not in this run folder; roadstill (\w+) makes it", text)
    assert named == ["compare", "index", "index", "run", "finetune", "compare", "run"]
    assert "could not be read" not in text
    assert "No verdict yet." in text


def test_only_a_comparison_is_enough(tmp_path):
    write_json(tmp_path / "comparison.json", fake_comparison(np.random.default_rng(0)))
    html = write_report(tmp_path).read_text(encoding="utf-8")
    read(html)
    assert "DiffFit + LoRA" in html
    assert "Synthetic data." not in html


def test_damaged_parts_are_named_and_the_rest_is_shown(run, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    damaged = ("comparison.json", "index/motion.json", "index/funnel.json", "sets/train/set.json")
    for name in damaged:
        (copy / name).write_bytes(b"{ [ not this")
    text = text_of(write_report(copy).read_text(encoding="utf-8"))
    listed = text.partition("Parts that could not be read")[2]
    assert all(name in listed for name in ("comparison:", "frames:", "funnel:", "pictures:"))
    assert "The test part was opened" in text


def test_the_referees_own_file_is_read_with_labels_from_the_recipe(tmp_path):
    spread = Spread(0.6, 0.1, 0.5, 0.7, [0.5, 0.6, 0.7])
    arms = {
        name: ArmSummary(name, [0, 1, 2], 3, spread, spread, spread, spread, {"not_brake": spread, "brake": spread})
        for name in ("random", "mine", "full")
    }
    verdict = Verdict(
        "mine", "random", "cannot be told apart", 0.01, -0.02, 0.04, 0.5, 1.0, [0, 1, 2], 3, 16, 40, "Not told apart."
    )
    Comparison("random", "log", 16, 640, "brake", 0.58, "digest", arms, {"mine": verdict}).save(
        tmp_path / "comparison.json"
    )
    (tmp_path / "recipe.yaml").write_text(
        "per_class: 10\narms:\n  random: {kind: random, label: Random}\n  mine: {kind: generated, label: Mine}\n"
        "  full: {kind: full, label: All}\n"
    )
    text = text_of(write_report(tmp_path).read_text(encoding="utf-8"))
    assert "Mine: cannot be told apart from Random." in text
    assert "Random 10 images a class, 3 seeds baseline – 60.0 ± 10.0" in text
    assert "All all images, 3 seeds" in text
    assert "640 test images from 16 logs." in text
    assert "always “brake”" in text


def test_names_are_escaped(tmp_path):
    compared = fake_comparison(np.random.default_rng(0))
    compared["about"]["labels"]["base"] = '<script>alert(1)</script> $x^2$ & "more"'
    compared["verdicts"]["base"]["sentence"] = "<img src=x onerror=alert(1)>"
    write_json(tmp_path / "comparison.json", compared)
    outline = read(write_report(tmp_path).read_text(encoding="utf-8"))
    assert outline.tags.count("script") == 1
    assert outline.images == []


def test_not_a_run_folder(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        write_report(tmp_path / "nowhere")
    with pytest.raises(UserError, match="is empty"):
        write_report(tmp_path)
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(UserError, match="contains no part of a run"):
        write_report(tmp_path)
    assert not (tmp_path / "report.html").exists()


def test_arms_are_found_in_both_places_lowest_seed_first(tmp_path):
    for place in ("arms/random/seed10", "arms/random/seed2", "select/k-center-seed3"):
        save_set(tmp_path / place, 1, 0)
    found = {arm: (seed, folder.name) for arm, (seed, folder) in arm_folders(tmp_path).items()}
    assert found == {"random": ("2", "seed2"), "k-center": ("3", "k-center-seed3")}


def test_long_curves_are_thinned_without_losing_their_mean():
    rows = [{"step": step, "loss": float(step)} for step in range(20_000)]
    steps, values = parts._curve(rows, "loss")
    assert len(steps) == 200
    assert values.mean() == pytest.approx(9999.5)
    assert [len(part) for part in parts._curve([], "loss")] == [0, 0]


def test_thesis_figures_stand_beside_their_arm_if_there_are_any(tmp_path):
    compared = fake_comparison(np.random.default_rng(0))
    compared["about"]["thesis"] = {}
    write_json(tmp_path / "comparison.json", compared)
    assert [arm["thesis"] for arm in verdicts.comparisons(tmp_path)[0]["arms"]] == [None] * len(ARMS)
    assert "thesis, accuracy" not in write_report(tmp_path).read_text()
    compared["about"]["thesis"] = {"full": "90.78", "majority": "60.46"}
    write_json(tmp_path / "comparison.json", compared)
    assert [arm["thesis"] for arm in verdicts.comparisons(tmp_path)[0]["arms"]] == [None] * 4 + ["90.78"]
    page = write_report(tmp_path).read_text()
    assert "thesis, accuracy" in page
    assert page.count("60.46") == 1
    compared["about"]["thesis"] = {"full": "90.78"}
    write_json(tmp_path / "comparison.json", compared)
    page = write_report(tmp_path).read_text()
    assert "90.78" in page
    assert "majority line is computed from" not in page


def test_figure_is_drawn_alike_twice_and_follows_the_page_colours():
    arms = [{"label": "$x_1$", "balanced_accuracy": {"mean": 0.5, "sd": 0.1, "values": [0.4, 0.6]}}]
    first = figures.seed_dots(arms, 0.5)
    assert first == figures.seed_dots(arms, 0.5)
    assert "var(--ink)" in first
    assert drawing.INK not in first
    assert ">$x_1$<" in first  # a name is never read as mathematics


def test_thumbnails_are_small():
    noise = np.random.default_rng(0).integers(0, 255, (512, 512, 3)).astype(np.uint8)
    assert len(jpeg_uri(Image.fromarray(noise))) < 40_000
    # As much detail as a photograph; pictures of all sheets, each with a real frame beside it.
    photograph = Image.fromarray(noise).filter(ImageFilter.GaussianBlur(6))
    photograph = ImageOps.autocontrast(photograph)
    assert len(jpeg_uri(photograph)) * 2 * sheets._MOST_TILES * sheets.MAX_SHEETS < 9_000_000
    assert len(jpeg_uri(photograph)) * 4 * sheets.TILES_PER_CLASS * sheets.MAX_SHEETS < 5_000_000


def test_sets_of_many_classes_show_fewer_of_each(tmp_path):
    names = tuple(f"class{number}" for number in range(15))
    with ImageSetWriter(tmp_path / "set", names, 8) as writer:
        for number in range(60):
            writer.add(np.full((8, 8, 3), number, np.uint8), number % 15, {})
    sheet = sheets.class_sheet(open_imageset(tmp_path / "set"), "many", "note")
    assert [(total, len(tiles)) for _, total, tiles in sheet.rows] == [(4, 2)] * 15
    assert not sheet.paired


def test_a_sheet_says_how_its_pictures_came_to_be():
    def origin(facts, **about):
        return sheets._origin(_Set(facts, about))

    assert origin([{"token": "a"}]) == "frames of the training part"
    assert origin([{"token": "a"}, {"guidance": 4.0}]) == "real frames and generated images"
    assert origin([{"guidance": 4.0}]) == "generated"
    begun = origin([{"guidance": 4.0, "strength": 0.4}], method={"type": "Confident", "teacher": "abc"})
    assert begun == "generated from real frames noised by 40% of the chain, chosen by a teacher"


class _Set(list):
    def __init__(self, facts, about):
        super().__init__(facts)
        self.facts, self.about = facts, about


def test_stages_stand_in_their_order_whatever_the_clock_said(tmp_path):
    names = ["agent-random-0", "encode", "finetune-x", "index", "mine", "set-random-0", "sets", "world"]
    for place, name in enumerate(names):
        write_json(tmp_path / "stages" / name / "stage.json", {"seconds": 1})
        os.utime(tmp_path / "stages" / name / "stage.json", (place % 3, place % 3))  # it went back now and then
    found = [name for name, _, _ in parts.stages(stage_records(tmp_path))[0]]
    assert found == ["world", "index", "sets", "encode", "finetune-x", "set-random", "agent-random", "mine"]


def test_edited_records_stand_at_the_top(tmp_path):
    folder = runs_of_two_arms(tmp_path / "run")
    write_json(folder / "comparison.json", fake_comparison(np.random.default_rng(0)))
    assert "not as they were written" not in write_report(folder).read_text()
    assert "1 record, such as comparison.json, is in no book of records" in text_of(write_report(folder).read_text())
    path = folder / "other-1" / "run.json"
    path.write_text(path.read_text().replace('"seed": 1', '"seed": 7'))
    shutil.rmtree(folder / "random-2")
    lines = (folder / "records.jsonl").read_text().splitlines(keepends=True)
    (folder / "records.jsonl").write_text("".join(lines[:1] + lines[2:]))
    text = text_of(write_report(folder).read_text())
    for said in ("line 2 does not follow", "other-1/run.json was changed", "random-2/run.json is gone"):
        assert said in text.partition("Numbers")[0]


def test_a_ledger_from_before_there_were_chains_says_so(html, tmp_path):
    assert "20 of its lines were written before lines were chained" in text_of(html)
    ledger = tmp_path / "test_ledger.jsonl"
    for number in (1, 2):
        append(ledger, [{"opening": number, "config": "x", "what": "y"}])
    text = text_of(write_report(tmp_path).read_text())
    assert "opened 2 times" in text
    assert "before lines were chained" not in text
    ledger.write_text(ledger.read_text().replace('"y"', '"z"', 1))
    assert "line 1 was changed after it was written" in text_of(write_report(tmp_path).read_text())


def test_caveats_stand_above_the_table(tmp_path):
    compared = fake_comparison(np.random.default_rng(0)) | {"caveats": ["x was refined with <b>, which judges it here"]}
    write_json(tmp_path / "comparison.json", compared)
    page = write_report(tmp_path).read_text()
    assert page.index("x was refined with &lt;b&gt;, which judges it here.") < page.index("trained on")


def test_a_comparison_of_another_name_is_refused(tmp_path):
    write_json(tmp_path / 'comparison-"><script>.json', fake_comparison(np.random.default_rng(0)))
    said = []
    page = write_report(tmp_path, say=said.append).read_text()
    assert "is no name of a comparison" in said[0]
    assert page.count("<script>") == 1
