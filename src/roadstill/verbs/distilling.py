"""Verbs of distillation: distil, experts, refine."""

from pathlib import Path
from typing import TYPE_CHECKING

from roadstill.agents import AgentConfig
from roadstill.distil.experts import ExpertTraining
from roadstill.distil.refine import Refinement
from roadstill.errors import UserError
from roadstill.names import Settings
from roadstill.runs import holding
from roadstill.runs.progress import say

if TYPE_CHECKING:
    from roadstill.imagesets import ImageSet

_AGENT = AgentConfig(network="convnet-3", normalise="cifar10")


def listed() -> str:
    """What ``roadstill distil --list`` prints: every method, what it does, and where it comes from."""
    from roadstill.distil import METHODS

    rows = [(name, method.told, method.source) for name, method in METHODS.items()]
    widths = [max(len(row[at]) for row in rows) for at in (0, 1)]
    return "\n".join(f"{name:<{widths[0]}}  {told:<{widths[1]}}  {source}" for name, told, source in rows)


@holding()
def distil(
    method: str,
    real: Path,
    out: Path,
    *,
    per_class: int = 10,
    settings: Settings | None = None,
    agent: AgentConfig = _AGENT,
    codec: Path | None = None,
    base: Path | None = None,
    teacher: Path | None = None,
    start: Path | None = None,
    seed: int = 0,
) -> str:
    """Distils an image set into a few images of each class by a published method.

    The set carries what training on it needs (whitening, learnt labels and learning rate, patches): train and compare
    apply it or refuse.

    Args:
        method: name of the method; roadstill distil --list tells all. An objective of yours: its dotted path.
        real: image set that the small one stands for: the train part made by prepare.
        out: folder to make; a second call resumes a distillation that was stopped.
        per_class: number of images per class.
        settings: settings that differ from the published ones, such as '{"steps": 3000, "objective": {"real_batch":
            64}}'; see docs/families.md.
        agent: network that the method looks at, its normalisation and target; a ConvNet-3 for CIFAR-10 if not given.
        codec: codec of latents, for parametrisation latents and noise; the shipped one if not given.
        base: generator, for parametrisation noise; the shipped one if not given.
        teacher: agent made by train, whose probabilities are labels.
        start: image set to begin with, made by select or generate, of as many images per class.
        seed: seed of everything random.
    """
    from roadstill.agents import open_agent
    from roadstill.codecs import load_codec
    from roadstill.distil import Tools, method_of
    from roadstill.distil import distil as make
    from roadstill.generator.checkpoints import load_denoiser
    from roadstill.imagesets import open_imageset

    config = method_of(method, per_class, settings)
    needs_codec, needs_base = config.parametrisation in ("latents", "noise"), config.parametrisation == "noise"
    for name, given, used in (("codec", codec, needs_codec), ("base", base, needs_base)):
        if given is not None and not used:
            raise UserError(f"{name} has no use: {config.parametrisation} move, and neither latents nor noise")
    tools = Tools(
        codec=load_codec(codec) if needs_codec else None,
        base=load_denoiser(base) if needs_base else None,
        teacher=None if teacher is None else open_agent(teacher),
        start=None if start is None else open_imageset(start),
    )
    images: ImageSet = open_imageset(real)
    made = make(
        images,
        method,
        per_class=per_class,
        seed=seed,
        out=out,
        agent=agent,
        settings=settings,
        tools=tools,
        say=say,
    )
    recipe = made.about["recipe"]
    return f"{out}: {len(made)} images by {method}, {per_class} per class; train on them by {recipe['protocol']}"


@holding()
def experts(
    real: Path,
    out: Path,
    *,
    training: ExpertTraining = ExpertTraining(),  # noqa: B008  frozen; the command line shows its fields
    agent: AgentConfig = _AGENT,
    whitening: str = "none",
    workers: int = 2,
    seed: int = 0,
) -> str:
    """Trains agents on a whole image set and keeps their weights after every epoch, for methods that follow them.

    Args:
        real: image set: the train part made by prepare.
        out: folder to make; a second call goes on with what is missing.
        training: number of experts, epochs, learning rate, augmentation.
        agent: network, its normalisation and target; a ConvNet-3 for CIFAR-10 if not given.
        whitening: whitening of pixels, none, absolute or relative, as the method's.
        workers: number of processes; each trains an expert at a time.
        seed: seed of everything random.
    """
    from roadstill.distil.beginning import space_of
    from roadstill.distil.experts import make_experts
    from roadstill.distil.task import real_of
    from roadstill.imagesets import open_imageset

    images = open_imageset(real)
    space = space_of(images, agent, whitening)
    known = real_of(images, space, agent.target, seed)
    made = make_experts(known, agent, out, config=training, seed=seed, workers=workers, say=say)
    return f"{out}: {len(made.numbers)} experts of {made.epochs} epochs, {made.weights:,} weights each"


def refine(
    images: Path,
    real: Path,
    out: Path,
    *,
    codec: Path | None = None,
    decoder: Path | None = None,
    agent: AgentConfig = AgentConfig(),  # noqa: B008
    refinement: Refinement = Refinement(),  # noqa: B008
    base: Path | None = None,
    dev: Path | None = None,
    seed: int = 0,
) -> str:
    """Optimises a small set's latents so that training on it matches training on all frames.

    The result serves the network of --agent and no other so far; `roadstill study frozen-features` measures that.
    With refinement.networks it is made for several at once, and with refinement.looks the worst of them chooses.

    Args:
        images: small image set, made by generate or select.
        real: image set that it stands for: the train part made by prepare.
        out: folder to make.
        codec: codec file, diffusers autoencoder (folder or hub name), or "pixels" to work on the pictures themselves;
            the shipped codec if not given.
        decoder: second diffusers autoencoder, which decodes what the first one encodes.
        agent: agent whose features are matched; it is not trained.
        refinement: steps and objectives, priors, further networks.
        base: generator whose score holds the pictures back, for refinement.score: whatever finetune takes as base, or a
            folder made by it; the shipped one if not given.
        dev: image set that chooses among the states on the way, for refinement.looks: the dev part made by prepare.
        seed: seed of the random heads, the real batches, the augmentation and the score's noise.
    """
    from roadstill.codecs import load_codec
    from roadstill.distil.refine import refine as move
    from roadstill.generator.checkpoints import load_denoiser
    from roadstill.imagesets import open_imageset

    made = move(
        open_imageset(images), open_imageset(real), load_codec(codec, decoder=decoder), agent=agent, config=refinement,
        seed=seed, out=out, base=load_denoiser(base) if refinement.score or base is not None else None,
        dev=None if dev is None else open_imageset(dev),
    )  # fmt: skip
    chosen = f", those of step {made.about['refined']['chosen']['step']}, chosen on {dev}" if dev else ""
    return f"{out}: {len(made)} refined images{chosen}"
