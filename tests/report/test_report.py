"""The report: made from whatever lies in a run folder, self-contained, escaped, the same bytes for the same files."""

import json
import os
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made import frame_table, runs_of_two_arms
from PIL import Image

from roadstill.errors import UserError
from roadstill.evaluation.chain import append
from roadstill.evaluation.compare import Comparison
from roadstill.evaluation.summary import ArmSummary, Spread
from roadstill.evaluation.verdicts import Verdict
from roadstill.frames.filters import FrameFilter, Funnel, FunnelRow, Sieve
from roadstill.imagesets import ImageSetWriter
from roadstill.report import figures, parts, sheets, verdicts, write_report
from roadstill.report.sheets import arm_folders, jpeg_uri
from roadstill.runs import write_json

ARMS = {
    "random": ("Random real frames", 0.61, 0.05),
    "base": ("Untouched generator", 0.57, 0.04),
    "difffit-lora": ("DiffFit + LoRA", 0.68, 0.03),
    "difffit-lora-minimax": ("DiffFit + LoRA + minimax", 0.665, 0.03),
    "full": ("Full training part", 0.93, 0.01),
}
VOID = {"meta", "link", "img", "br", "hr", "input", "use", "path", "line", "rect", "col"}


def save_set(folder: Path, per_class: int, seed: int, **facts: float) -> None:
    generator = np.random.default_rng(seed)
    with ImageSetWriter(folder, ("not_brake", "brake"), 64) as writer:
        for label in (0, 1):
            for _ in range(per_class):
                pixels = np.zeros((64, 64, 3), np.uint8)
                pixels[:30] = 150 + generator.integers(60)
                pixels[30:] = 60 + generator.integers(40)
                left, size = generator.integers(10, 40), 6 + 12 * label
                pixels[30 : 30 + size, left : left + size] = (190, 40, 30) if label else (40, 90, 150)
                writer.add(pixels, label, facts)


def fake_run(run: Path) -> Path:
    """A run folder as the pipeline leaves it, tiny and invented."""
    generator = np.random.default_rng(0)
    (run / "index").mkdir(parents=True)
    (run / "world").mkdir()
    write_json(run / "world" / "world.json", {"seed": 1})
    (run / "recipe.yaml").write_text(
        "per_class: 10\nindex:\n  filter:\n    min_abs_accel_mps2: 1.0\n    min_speed_mps: 3.0\n"
    )
    speed = np.abs(generator.normal(6, 5, 4000))
    sieve = Sieve((), FrameFilter())
    sieve(frame_table(generator.normal(0, 1.2, 4000), vx=speed))
    sieve.save_motion(run / "index" / "motion.json")
    rules = [("all", 4000, 1900), ("command is straight", 3300, 1600), ("|a| >= 1", 900, 520), ("v >= 3", 700, 420)]
    rows = [{"rule": r, "left": n, "not_brake": n - b, "brake": b} for r, n, b in rules]
    write_json(run / "index" / "funnel.json", {"rows": rows})
    (run / "index" / "problems.txt").write_text("log a.pkl: truncated\n")
    save_set(run / "sets" / "train", 14, 1, speed_mps=7.5, accel_mps2=-2.25)
    for place, arm in enumerate(ARMS):
        made = {"guidance": 4.0} if "difffit" in arm or arm == "base" else {"speed_mps": 8.0, "accel_mps2": 1.5}
        for seed in (0, 1) if arm != "full" else ():
            save_set(run / "arms" / arm / f"seed{seed}", 10, 10 * place + seed, **made)
    for name, slope in (("difffit-lora", 0.3), ("difffit-lora-minimax", 0.35)):
        folder = run / "finetune" / name
        folder.mkdir(parents=True)
        lines = []
        for step in range(0, 1000, 2):
            line = {"step": step, "loss": slope + np.exp(-step / 200) + 0.05 * generator.normal(), "lr": 1e-3}
            if "minimax" in name:
                line |= {"representativeness": 0.4 - step / 5000, "diversity": 0.7 - step / 9000}
            lines.append(json.dumps(line))
        (folder / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    write_json(run / "comparison.json", fake_comparison(generator))
    ledger = [
        {"opening": k + 1, "time": f"2026-01-01T00:00:{k:02d}", "config": "ab12cd34", "what": "accuracy"}
        for k in range(20)
    ]
    (run / "test_ledger.jsonl").write_text("".join(json.dumps(line) + "\n" for line in ledger))
    steps = [0, 50, 100, 150, 200]
    for schedule in ("linear", "spoon2"):
        strip = generator.integers(0, 255, (64, 64 * len(steps), 3)).astype(np.uint8)
        (run / "figures").mkdir(exist_ok=True)
        Image.fromarray(strip).save(run / "figures" / f"noising_{schedule}.png")
    noise = {"t": steps, "abar": [1.0, 0.97, 0.9, 0.79, 0.65], "snr_db": [40.0, 15.1, 9.3, 5.7, 2.8]}
    write_json(run / "figures" / "noising.json", {"rows": [{"schedule": s} | noise for s in ("linear", "spoon2")]})
    for place, stage in enumerate(("index", "prepare", "encode", "finetune")):
        record = {"key": "k", "versions": {"python": "3.11.7", "torch": "2.13.0"}, "seconds": 12.5 * (place + 1)}
        write_json(run / "stages" / f"{place}-{stage}.json", record)
    return run


def fake_comparison(generator: np.random.Generator) -> dict[str, Any]:
    """What the pipeline writes: the referee's own record, and labels and budgets beside it."""
    arms = {}
    for name, (_, mean, sd) in ARMS.items():
        values = np.clip(generator.normal(mean, sd, 3 if name == "full" else 20), 0, 1)
        score = Spread(values.mean(), values.std(ddof=1), values.min(), values.max(), values.tolist())
        brake = Spread(score.mean - 0.05, 0.06, 0.0, 1.0, [])
        seeds = list(range(len(values)))
        classes = {"not_brake": score, "brake": brake}
        arms[name] = ArmSummary(name, seeds, len(seeds), score, score, score, score, classes)
    words: dict[str, tuple[Any, float, float, float]] = {"base": ("worse", -0.04, -0.07, -0.01)}
    words |= {"difffit-lora": ("better", 0.07, 0.03, 0.11)}
    words |= {"full": ("bound", 0.3, 0.28, 0.32)}
    words |= {"difffit-lora-minimax": ("cannot be told apart", 0.02, -0.02, 0.06)}
    verdicts = {
        arm: Verdict(arm, "random", word, difference, low, high, 0.01, 0.02, list(range(20)), 20, 16, 40, f"{arm}: so.")
        for arm, (word, difference, low, high) in words.items()
    }
    found = Comparison("random", "log", 16, 640, "brake", 0.58, "digest", arms, verdicts).as_dict()
    about = {"protocol": "honest", "labels": {name: label for name, (label, *_) in ARMS.items()}}
    about["per_class"] = {name: None if name == "full" else 10 for name in ARMS}
    about["thesis"] = {"random": "60.86 ± 6.69", "difffit-lora": "74.40 ± 2.35", "full": "90.78", "majority": "60.46"}
    return json.loads(json.dumps(found, default=float)) | {"about": about}


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


def text_of(html: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", re.sub(r"<(svg|style)\b.*?</\1>", " ", html, flags=re.S)).split())


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


def test_page_asks_nobody_for_anything(html):
    outline = read(html)
    assert "script" not in outline.tags
    assert all(address.startswith(("data:image/", "#")) for address in outline.addresses)
    assert not re.search(r"@import|url\((?!#|\"?data:)", html)
    assert len(html.encode()) < 5_000_000


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
    assert re.findall(r'class="class"><strong>(.*?)</strong>', html)[:2] == ["brake", "not brake"]


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
    assert "Random 10 images a class, 3 seeds 60.0 ± 10.0" in text
    assert "All all images, 3 seeds" in text
    assert "640 test images from 16 logs." in text
    assert "always “brake”" in text


def test_names_are_escaped(tmp_path):
    compared = fake_comparison(np.random.default_rng(0))
    compared["about"]["labels"]["base"] = '<script>alert(1)</script> $x^2$ & "more"'
    compared["verdicts"]["base"]["sentence"] = "<img src=x onerror=alert(1)>"
    write_json(tmp_path / "comparison.json", compared)
    outline = read(write_report(tmp_path).read_text(encoding="utf-8"))
    assert "script" not in outline.tags
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
    assert figures.INK not in first
    assert ">$x_1$<" in first  # a name is never read as mathematics


def test_thumbnails_are_small():
    noise = np.random.default_rng(0).integers(0, 255, (512, 512, 3)).astype(np.uint8)
    assert len(jpeg_uri(Image.fromarray(noise))) < 30_000


def find_chromium() -> str | None:
    return next(
        (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
    )


@pytest.mark.skipif(find_chromium() is None, reason="needs chromium: tools/install_debian.sh installs it")
@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 390])
def test_browser_opens_it_without_sideways_scrolling(html, tmp_path, width):
    page = json.dumps(html).replace("</", "<\\/")
    # A wrapper page, because headless Chromium does not shrink its window below about 500 px.
    probe = (
        f"<iframe style='width:{width}px;height:800px;border:0' id=f srcdoc></iframe><p id=o></p><script>"
        "f.onload=()=>{const d=f.contentDocument.documentElement;"
        "o.textContent=d.scrollWidth+' of '+d.clientWidth};f.srcdoc=" + page + "</script>"
    )
    (tmp_path / "probe.html").write_text(probe, encoding="utf-8")
    command = [
        find_chromium(), "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1400,900", "--hide-scrollbars",
        "--virtual-time-budget=4000", "--dump-dom",
        (tmp_path / "probe.html").as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    scroll, client = map(int, re.search(r'id="o">(\d+) of (\d+)<', done.stdout).groups())
    assert client == width
    assert scroll <= client


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
    found = [name for name, _, _ in parts.stages(tmp_path)[0]]
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
    assert "<script>" not in page
