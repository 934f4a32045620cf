"""Settings out of range, of every verb that trains, draws or picks; and class names that do not meet."""

import numpy as np
from hostile import Case, check, copied, each

from roadstill.imagesets import ImageSetWriter

TRAIN = ("train", "set", "out", "--agent.network", "convnet")


def with_set(*words):
    def command(folder, good):
        copied(good, "set", folder)
        return words

    return command


def trained(option, value, says):
    return Case(f"agent-{option}-{value}", with_set(*TRAIN, f"--agent.{option}", value), says)


def tuned(option, value, says):
    def command(folder, good):
        copied(good, "latents", folder)
        return "finetune", "latents", "out", f"--tuning.{option}", value

    return Case(f"tuning-{option}-{value}", command, says)


def sampled(option, value, says):
    return Case(
        f"sampling-{option}-{value}", lambda folder, good: ("generate", "out", f"--sampling.{option}", value), says
    )


def refined(option, value, says):
    return Case(
        f"refinement-{option}-{value}", with_set("refine", "set", "set", "out", f"--refinement.{option}", value), says
    )


def of_codec(option, value, says):
    return Case(
        f"codec-{option}-{value}", with_set("pretrain", "codec", "set", "out", f"--codec.{option}", value), says
    )


def of_denoiser(option, value, says):
    def command(folder, good):
        copied(good, "latents", folder)
        return "pretrain", "denoiser", "latents", "out", f"--denoiser.{option}", value

    return Case(f"denoiser-{option}-{value}", command, says)


def turned_set(folder, name, classes=("brake", "not_brake")):
    with ImageSetWriter(folder / name, classes, 32) as writer:
        for label in (0, 1, 0, 1):
            writer.add(np.full((32, 32, 3), 100 + 50 * label, np.uint8), label, {"log": "a"})


def meets(name, says, *words, classes=("brake", "not_brake")):
    """A case of a set ``turned`` whose classes are not those of what it meets."""

    def command(folder, good):
        for product in ("set", "other", "agent", "tuned", "latents"):
            copied(good, product, folder)
        turned_set(folder, "turned", classes)
        return words

    return Case(f"names-{name}", command, says)


ORDER = r"in another order, \["
CASES = [
    trained("learning_rate", -1, r"learning_rate is -1\.0; it must be at least 0"),
    trained("learning_rate", "nan", r"learning_rate is nan; it must be"),
    trained("learning_rate", "1e999", r"learning_rate is inf; it must be"),
    trained("steps", 0, r"steps is 0; it must be a whole number"),
    trained("steps", 10**20, r"steps is 100000000000000000000; it must be"),
    trained("batch_size", -5, r"batch_size is -5"),
    trained("batch_size", 10**12, r"batch_size is 1000000000000"),
    trained("weight_decay", -1, r"weight_decay is -1"),
    trained("image_px", 10**6, r"image_px is 1000000"),
    trained("temperature", 0, r"temperature is 0"),
    trained("freeze", -1, r"freeze is -1"),
    trained("momentum", 1, r"momentum is 1"),
    tuned("learning_rate", -1, r"learning_rate is -1"),
    tuned("steps", 0, r"steps is 0"),
    tuned("clip", 0, r"clip is 0"),
    tuned("min_snr", -1, r"min_snr is -1"),
    tuned("weight_decay", "nan", r"weight_decay is nan"),
    tuned("warmup_steps", -1, r"warmup_steps is -1"),
    tuned("ema.decay", 2, r"ema\.decay is 2"),
    tuned("labels.dropout", -0.1, r"labels\.dropout is -0\.1"),
    tuned("minimax.diversity", -1, r"minimax\.diversity is -1"),
    tuned("minimax.memory_size", 10**9, r"minimax\.memory_size is 1000000000"),
    tuned("edm.augment", 3, r"edm\.augment is 3"),
    tuned("guided_channels", -1, r"guided_channels is -1"),
    tuned("gradient_accumulation", 0, r"gradient_accumulation is 0"),
    sampled("steps", 0, r"steps is 0"),
    sampled("steps", 10**12, r"steps is 1000000000000"),
    sampled("guidance", "nan", r"guidance is nan"),
    sampled("strength", 2, r"strength is 2"),
    sampled("noise.eta", -1, r"noise\.eta is -1"),
    sampled("noise.churn", "inf", r"noise\.churn is inf"),
    sampled("teacher.guidance", -2, r"teacher\.guidance is -2"),
    sampled("batch_size", 0, r"batch_size is 0"),
    refined("learning_rate", "1e300", r"learning_rate is 1e\+300"),
    refined("heads", 0, r"heads is 0"),
    refined("ridge", 0, r"ridge is 0"),
    refined("closeness", -1, r"closeness is -1"),
    of_codec("coarse_share", 2, r"coarse_share is 2"),
    of_codec("noise", -1, r"noise is -1"),
    of_codec("codec.width", 0, r"width is 0"),
    of_codec("codec.patch", 10**9, r"patch is 1000000000"),
    of_codec("held_out", -1, r"held_out is -1"),
    of_denoiser("batch_size", 10**12, r"batch_size is 1000000000000"),
    Case(
        "selector-nan",
        with_set("select", "set", "out", "--method", "distinct:nan:random", "--features", "pixels", "--per_class", 1),
        r"threshold is nan",
    ),
    meets("dev", ORDER, "train", "set", "out", "--agent.network", "convnet", "--agent.steps", 1, "--dev", "turned"),
    meets(
        "dev-other",
        r"take two that know the same",
        "train",
        "set",
        "out",
        "--agent.steps",
        1,
        "--dev",
        "turned",
        classes=("a", "b"),
    ),
    meets("evaluate", ORDER, "evaluate", "agent", "turned"),
    meets("compare", ORDER, "compare", "set", "other", "--test", "turned"),
    meets("refine", ORDER, "refine", "set", "turned", "out"),
    meets("select", ORDER, "select", "turned", "out", "--method", "herding", "--teacher", "agent", "--per_class", 1),
    meets("start", ORDER, "generate", "out", "--start", "turned", "--per_class", 1),
    meets(
        "generate",
        r"give label_rows \[1, 0\]",
        "generate",
        "out",
        "--checkpoint",
        "tuned",
        "--class_names",
        "[brake,not_brake]",
    ),
    meets(
        "generate-other",
        r"names the class 'cat', but the generator knows",
        "generate",
        "out",
        "--class_names",
        "[cat,dog]",
    ),
    meets(
        "generate-rows",
        r"'brake' would take the row of another class",
        "generate",
        "out",
        "--class_names",
        "[brake]",
        "--label_rows",
        "[0]",
    ),
]


@each(CASES)
def test_a_bad_setting(case, good, tmp_path, capfd, monkeypatch):
    check(case, good, tmp_path, capfd, monkeypatch)
