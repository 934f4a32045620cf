"""The verb select: small sets of real frames, or the best of many generated images."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from roadstill.agents import AgentConfig
from roadstill.errors import UserError
from roadstill.names import Settings
from roadstill.runs import holding, require_own

if TYPE_CHECKING:
    from roadstill.selection import Features


@holding()
def select(
    images: Path,
    out: Path,
    *,
    method: str = "random",
    settings: Settings | None = None,
    from_index: bool = False,
    train_only: bool = False,
    teacher: Path | None = None,
    features: Literal["agent", "pixels", "dit"] = "agent",
    checkpoint: Path | None = None,
    codec: Path | None = None,
    agent: AgentConfig = AgentConfig(),  # noqa: B008  frozen; the command line shows its fields
    per_class: int = 10,
    seed: int = 0,
) -> str:
    """Selects real frames as baselines, or the best of many generated images.

    Args:
        images: image set to select from; with from_index, a folder made by index.
        out: folder to make.
        method: name of the selector. By facts: random, per_drive, dynamics; by features: medoids, herding, k_center,
            facility_location, minimax, moment_group, s3; by a teacher: confident, least_confidence,
            least_confidence_correct, margin, entropy, learnability, rded, rded_stitched; by training: forgetting.
            distinct:NAME leaves near-duplicates out first. A selector of yours: its dotted path.
        settings: settings of the selector by name, such as '{"memory_size": 32}' for minimax; see docs/extend.md.
        from_index: whether to select among the frames of an index before any picture exists, by facts alone. The
            result is an index for prepare, and images.txt lists the pictures to fetch.
        train_only: whether the dev and test parts are left out; with from_index.
        teacher: agent made by train on the train part alone.
        features: agent is the teacher's backbone, pixels are shrunk pictures, dit is a generator's middle block.
        checkpoint: generator for features dit; the shipped base if not given.
        codec: its codec; the shipped one if not given.
        agent: settings of the training whose forgetting is counted, and of learnability's students.
        per_class: number of images per class.
        seed: seed of the random choice.
    """
    require_own(out, "index.json" if from_index else "set.json")
    if from_index:
        return _from_index(images, out, method, settings, per_class=per_class, seed=seed, train_only=train_only)
    from roadstill.agents import selector_tools
    from roadstill.imagesets import open_imageset
    from roadstill.runs import digest_file
    from roadstill.selection import Maker, check_settings, make_selector, needs, pick

    if train_only:
        raise UserError("train_only belongs to from_index")
    wanted = needs(method)
    check_settings(method, settings)
    source = open_imageset(images)
    asks = "predict" in wanted or (features == "agent" and "features" in wanted)
    if (teacher is None) == asks:
        raise UserError(f"method {method} {'needs' if asks else 'does not take'} a teacher, made by train")
    other = features if features != "agent" and "features" in wanted else ""
    tools = selector_tools(
        None if teacher is None else opened_teacher(teacher, source.class_names),
        named=", ".join(filter(None, [digest_file(teacher / "network.safetensors") if teacher else "", other])),
        student=agent,
        watched=agent,
        features=other_features(features, checkpoint, codec),
    )
    chooser = make_selector(method, tools, settings)
    made = pick(source, chooser, per_class=per_class, seed=seed, out=out)
    if not isinstance(chooser, Maker):
        made = made.save(out)
    return f"{out}: {len(made)} images by {method}, {per_class} per class"


def _from_index(
    index: Path,
    out: Path,
    method: str,
    settings: dict[str, Any] | None,
    *,
    per_class: int,
    seed: int,
    train_only: bool,
) -> str:
    from roadstill.selection import JointSelector, Selector, make_selector, needs
    from roadstill.selection.from_index import select_from_index

    chooser = None if needs(method) else make_selector(method, {}, settings)
    if not isinstance(chooser, (Selector, JointSelector)):
        raise UserError(f"method {method} looks at pictures; from an index choose random, per_drive or dynamics")
    count = select_from_index(index, out, chooser, per_class=per_class, seed=seed, train_only=train_only)
    return f"{out}: {count:,} frames by {method}, {per_class:,} per class; images.txt lists their pictures"


def opened_teacher(folder: Path, class_names: tuple[str, ...]) -> Callable[[], Any]:
    """The teacher, opened once; refuses one of other classes."""
    from roadstill.agents import open_agent
    from roadstill.runs import same_classes

    agent = open_agent(folder)
    same_classes(agent.class_names, class_names, of=folder, to="the image set")
    return lambda: agent


def other_features(name: str, checkpoint: Path | None, codec: Path | None) -> "Callable[[], Features] | None":
    """Features that are not the teacher's."""
    if name != "dit" and (checkpoint or codec):
        raise UserError("checkpoint and codec belong to features dit")

    def of_generator() -> "Features":
        from roadstill.codecs import load_codec
        from roadstill.generator.checkpoints import load_denoiser
        from roadstill.selection.middle import MiddleFeatures

        return MiddleFeatures(load_denoiser(checkpoint), load_codec(codec))

    def of_pixels() -> "Features":
        from roadstill.selection import PixelFeatures

        return PixelFeatures()

    return {"agent": None, "pixels": of_pixels, "dit": of_generator}[name]
