"""Every verb alone, one after another on the files of the one before, as the README lists them."""

from roadstill.cli import main
from roadstill.imagesets import open_imageset

CONVNET = ["--agent.network", "convnet", "--agent.steps", "2", "--agent.image_px", "32"]


def test_each_verb_works_on_the_files_of_the_one_before(tmp_path, capsys):
    def call(*words: object) -> str:
        assert main([str(word) for word in words]) == 0, capsys.readouterr().err
        return capsys.readouterr().out

    world, index, sets, latents, tuned = (tmp_path / name for name in ("world", "index", "sets", "latents", "tuned"))
    call("world", world, "--drives", 4, "--seed", 3, "--height_px", 72, "--pictures", "false")
    told = call("index", world, index)
    assert "with a route" in told
    assert "speed_mps >= 3" in told
    call("prepare", index, sets, "--max_per_class", 6)
    assert open_imageset(sets / "train").counts() == {"not_brake": 6, "brake": 6}
    call("encode", sets / "train", latents)
    call("finetune", latents, tuned, "--tuning.steps", 2, "--tuning.batch_size", 4)
    call("generate", tmp_path / "made", "--checkpoint", tuned, "--per_class", 2, "--sampling.steps", 2)
    told = call("audit", tmp_path / "made", "--against", sets / "train", "--heldout", sets / "dev", "--test",
                sets / "test", "--checkpoint", tuned, "--logs", world / "navsim_logs" / "mini", "--false_alarms", 0.5,
                "--out", tmp_path / "audit")  # fmt: skip
    assert "of 4 pictures flagged" in told
    assert "the generator, by its loss" in told
    assert (tmp_path / "audit" / "suspects.png").is_file()
    call("train", sets / "train", tmp_path / "teacher", *CONVNET)
    call("select", tmp_path / "made", tmp_path / "sure", "--method", "confident", "--teacher", tmp_path / "teacher",
         "--per_class", 1)  # fmt: skip
    call("select", sets / "train", tmp_path / "medoids", "--method", "medoids", "--teacher", tmp_path / "teacher",
         "--per_class", 2)  # fmt: skip
    later = tmp_path / "later"
    call("world", later, "--drives", 4, "--seed", 4, "--height_px", 72, "--pictures", "false")
    call("index", later, tmp_path / "later-index")
    call("prepare", tmp_path / "later-index", tmp_path / "new", "--max_per_class", 6)
    told = call("update", tmp_path / "medoids", tmp_path / "current", "--with", tmp_path / "new" / "train",
                "--teacher", tmp_path / "teacher", "--dev", sets / "dev", "--test", sets / "test")  # fmt: skip
    assert "4 images by medoids" in told
    call("generate", tmp_path / "begun", "--start", tmp_path / "sure", "--per_class", 2, "--sampling.steps", 4)
    assert set(open_imageset(tmp_path / "begun").column("strength")) == {0.5}
    for seed in range(3):
        call("select", sets / "train", tmp_path / f"random{seed}", "--per_class", 2, "--seed", seed)
        for arm, source in (("random", tmp_path / f"random{seed}"), ("made", tmp_path / "made")):
            agent = tmp_path / f"agent-{arm}-{seed}"
            call("train", source, agent, "--seed", seed, *CONVNET)
            call("evaluate", agent, sets / "dev", "--arm", arm, "--out", tmp_path / "runs" / f"{arm}-{seed}")
    told = call("compare", tmp_path / "runs", "--out", tmp_path / "comparison.json")
    assert "made" in told
    assert "balanced accuracy" in told
    call("evaluate", tmp_path / "agent-made-0", sets / "test")
    assert (sets / "test_ledger.jsonl").read_text().count('"opening"') == 1
