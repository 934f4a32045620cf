"""What is built from the settings of a training: a denoiser with its adapters, a schedule, criteria."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from roadstill.adapters import Adapter, Full, apply_adapters, merge, renew_labels
from roadstill.codecs.latents import LatentStore
from roadstill.criteria import Diversity, MeanAlignment, Representativeness
from roadstill.denoisers.base import Origin
from roadstill.denoisers.kinds import kind_of, kinds_of
from roadstill.denoisers.labelled import LabelledDenoiser
from roadstill.errors import UserError, located
from roadstill.generator.attributes import learn_attributes, renew_attributes, vocabulary_of
from roadstill.generator.config import FinetuneConfig, Term
from roadstill.generator.consistency import distilled
from roadstill.imagesets.attributes import rows_of
from roadstill.imagesets.sources import recorded
from roadstill.names import dotted, path_of
from roadstill.networks.kinds import Network, class_of, fresh_network
from roadstill.runs import same_rows, seed_of
from roadstill.schedules import NoiseSchedule, Progressive, read_schedule

_CRITERIA = frozenset(path_of(each) for each in (Diversity, MeanAlignment, Representativeness))


@dataclass(frozen=True)
class Assembly:
    """A denoiser that is ready to learn, and what a checkpoint must know to put it together again.

    Attributes:
        denoiser: denoiser with its adapters.
        network: keywords of its network, as they were without adapters.
        fresh_labels: rows of a new label table, if it got one.
        fresh_attributes: rows of a new table of attributes, if it got one.
    """

    denoiser: LabelledDenoiser
    network: dict[str, Any]
    fresh_labels: int | None
    fresh_attributes: int | None


def assemble(latents: LatentStore, base: LabelledDenoiser | None, config: FinetuneConfig, seed: int) -> Assembly:
    """The denoiser that a training starts with.

    Args:
        latents: latents that it will learn.
        base: generator to adapt; its network is used up. None trains ``config.network`` from scratch.
        config: see `FinetuneConfig`.
        seed: seed of random weights and rows.

    Raises:
        UserError: base, latents and configuration do not fit.
    """
    kind = _kind_from_scratch(config) if base is None else type(base)
    check_kind(config, kind)
    network = _from_scratch(latents, config, seed) if base is None else _of_base(base, latents)
    num_classes, rows = len(latents.class_names), config.labels.rows
    fresh = num_classes if base is not None and config.labels.init == "mean" else None
    told = None if fresh is not None else rows
    table = network.num_classes if fresh is None else fresh
    if len(told or range(num_classes)) != num_classes or (told is None and num_classes > table):
        raise UserError(
            f"{num_classes} classes ({', '.join(latents.class_names)}), but labels.rows {told} over a table of "
            f"{table} rows; name one row per class, or set labels.init: mean"
        )
    if base is not None and fresh is None:
        same_rows(
            latents.class_names, told, base.origin.class_names, base.label_rows, of=latents.root, to="the base",
            setting="labels.rows", may_be_new=True,
        )  # fmt: skip
    settings: dict[str, Any] = {
        "label_dropout": config.labels.dropout,
        "guided_channels": config.guided_channels,
        "label_rows": told,
    }
    if "augment" in kind.keywords:
        settings |= {"loss_reduction": config.edm.loss_reduction or kind.reductions[0], "augment": config.edm.augment}
    plain = network.config
    apply_adapters(network, config.adapters)
    if fresh is not None:
        renew_labels(network, fresh, like=rows, seed=seed)
    known = {} if base is None else base.origin.attributes
    vocabulary = vocabulary_of(known, latents, config.attributes.names)
    told_rows = learn_attributes(network, known, vocabulary) if config.attributes.names else None
    network.save_memory = config.gradient_checkpointing
    denoiser = kind.of(network, schedule_of(config) if kind.needs_schedule else None, settings)
    sources = recorded(latents.sources, *([] if base is None else [base.origin.sources]))
    denoiser.origin = replace(denoiser.origin, attributes=vocabulary, sources=sources)
    denoiser = distilled(denoiser, base, config)
    return Assembly(denoiser, plain, fresh, told_rows)


def _kind_from_scratch(config: FinetuneConfig) -> type[LabelledDenoiser]:
    """What a network from scratch will be."""
    assert config.network is not None
    network = class_of(config.network)
    able = kinds_of(network)
    if config.objective not in (None, *(each.objective for each in able)):
        known = " or ".join(each.objective for each in able)
        raise UserError(f"a {network.__name__} predicts {known}, not {config.objective}")
    return kind_of(network, config.objective)


def _from_scratch(latents: LatentStore, config: FinetuneConfig, seed: int) -> Network:
    """A network with random weights."""
    assert config.network is not None
    if [type(one) for one in config.adapters] != [Full]:
        raise UserError("a network from scratch needs adapters: [Full()]; its other weights would stay random")
    channels, side, width = latents.shape
    if side != width:
        raise UserError(f"latents are {side} x {width}; a network from scratch needs squares")
    return fresh_network(
        config.network,
        input_size=side,
        in_channels=channels,
        num_classes=len(latents.class_names),
        seed=seed_of("network", seed),
    )


def _of_base(base: LabelledDenoiser, latents: LatentStore) -> Network:
    """The base's network; base and latents are of one shape and one codec."""
    codecs = base.origin.codec, latents.about.get("codec")
    if base.latent_shape != tuple(latents.shape) or (None not in codecs and len(set(codecs)) > 1):
        raise UserError(
            f"the base makes latents {base.latent_shape} of codec {codecs[0]}, but {latents.root} holds "
            f"{tuple(latents.shape)} of codec {codecs[1]}; encode with the base's codec"
        )
    return plain_network(base)


def check_kind(config: FinetuneConfig, kind: type[LabelledDenoiser]) -> None:
    """Refuses settings that are for another kind of generator.

    Raises:
        UserError: names the settings.
    """
    if not kind.needs_schedule and (config.schedule != "linear" or config.retime or config.min_snr is not None):
        raise UserError(
            f"a {kind.objective} predictor has no noise schedule: leave schedule, retime and min_snr as they are"
        )
    if not kind.compares_noise and config.minimax.estimate != "clean":
        raise UserError("EDM's criteria compare clean estimates; leave minimax.estimate as it is")
    if config.edm.loss_reduction not in (None, *kind.reductions) or (
        config.edm.augment and "augment" not in kind.keywords
    ):
        raise UserError(
            f"loss_reduction: sum and augment are for EDM, but the network predicts {kind.objective}; leave them out"
        )


def adapt(
    network: Network, adapters: Sequence[Adapter], fresh_labels: int | None, fresh_attributes: int | None
) -> None:
    """Puts in place what learned in a checkpoint: adapters, and tables of so many rows that were new."""
    apply_adapters(network, adapters)
    if fresh_labels is not None:
        renew_labels(network, fresh_labels)
    if fresh_attributes is not None:
        renew_attributes(network, fresh_attributes)


def opened(
    network: Network, schedule: NoiseSchedule | None, about: Mapping[str, Any], digest: str, where: Path
) -> LabelledDenoiser:
    """The denoiser of a file, ready for sampling.

    Args:
        network: network with its weights.
        schedule: its noise schedule, for kinds that need one.
        about: facts that the file records: objective, settings, and those of `Origin`.
        digest: digest of the file.
        where: path of the file, for messages.

    Raises:
        UserError: class names, their rows and their means do not fit the network.
    """
    remedy = "make or fetch it again"
    names, rows, mean = tuple(about.get("class_names") or ()), about.get("label_rows"), about.get("class_mean")
    if names and len(rows or names) != len(names):
        raise UserError(f"{where}: {len(rows or ())} label_rows for {len(names)} classes; {remedy}")
    if len(names) > network.num_classes and rows is None:
        raise UserError(f"{where}: {len(names)} classes, but its network has {network.num_classes} rows; {remedy}")
    attributes, known = about.get("attributes") or {}, getattr(network, "attributes", 0)
    if len(rows_of(attributes)) != known:
        raise UserError(f"{where}: {len(rows_of(attributes))} attributes' values for {known} rows; {remedy}")
    shape = (len(names), network.in_channels, network.input_size, network.input_size)
    if mean is not None and tuple(mean.shape) != shape:
        raise UserError(f"{where}: class means of the shape {tuple(mean.shape)}, not {shape}; {remedy}")
    kind = kind_of(type(network), about.get("objective"))
    settings = {name: about[name] for name in kind.keywords if name in about}
    with located(where):
        denoiser = kind.of(network.eval().requires_grad_(False), schedule, settings)
    denoiser.origin = Origin(
        digest=digest,
        class_names=names,
        codec=about.get("codec"),
        latents=about.get("latents"),
        class_mean=mean,
        step=about.get("step"),
        schedule_assumed=bool(about.get("schedule_assumed")),
        attributes=attributes,
        distilled=about.get("distilled"),
        sources=tuple(about.get("sources") or ()),
    )
    return denoiser


def plain_network(denoiser: LabelledDenoiser) -> Network:
    """The denoiser's network with all adapters folded in, ready for new ones."""
    network = denoiser.network
    assert isinstance(network, Network)
    return merge(network)


def schedule_of(config: FinetuneConfig) -> NoiseSchedule | Progressive:
    """The schedule that ``config.schedule`` names, retimed if asked."""
    schedule = read_schedule(config.schedule, train_steps=config.steps)
    if not config.retime:
        return schedule
    if isinstance(schedule, Progressive):
        raise UserError("retime cannot be combined with a progressive schedule; choose one")
    return schedule.retimed()


def criteria_of(config: FinetuneConfig) -> nn.ModuleDict:
    """The criteria whose weight is not zero, by name (a dot is no legal key, hence the replacement).

    Raises:
        UserError: a dotted path that names no criterion or is not trusted, or settings that it does not take.
    """
    found: dict[str, nn.Module] = {}
    own = config.minimax
    if own.representativeness:
        found["representativeness"] = Representativeness(own.memory_size, own.reduce, own.gather_memories)
    if own.diversity:
        found["diversity"] = Diversity(own.memory_size, own.reduce, own.gather_memories)
    for path, term in config.criteria.items():
        weight, settings = (term.weight, term.settings) if isinstance(term, Term) else (term, {})
        criterion = _criterion(path, settings)
        if weight:
            found[path.replace(".", "/")] = criterion
    return nn.ModuleDict(found)


def find_criterion(path: str) -> Any:
    """The function or class of this dotted path; errors as `roadstill.names.dotted`."""
    return dotted(path, "criterion", _CRITERIA)


def _criterion(path: str, settings: dict[str, Any]) -> nn.Module:
    """The criterion that the user names: an object of a class, or a function."""
    try:
        found = find_criterion(path)
        criterion: Any = found(**settings) if inspect.isclass(found) else found
        told = settings if criterion is found else {}
        takes = inspect.signature(criterion.forward if isinstance(criterion, nn.Module) else criterion)
        takes.bind(None, None, None, **told)
    except UserError:
        raise
    except (ValueError, TypeError) as error:
        raise UserError(
            f"criterion {path!r} with settings {settings} cannot be used ({error}); it is the dotted path of a "
            "function (estimate, clean, label) -> scalar, or of a class of such objects"
        ) from None
    criterion = partial(criterion, **told) if told else criterion
    made: nn.Module = criterion if isinstance(criterion, nn.Module) else _Plain(criterion)
    return made


class _Plain(nn.Module):
    """Wraps a plain callable as a module."""

    def __init__(self, criterion: Callable[[Tensor, Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.criterion = criterion

    def forward(self, estimate: Tensor, clean: Tensor, label: Tensor) -> Tensor:
        return self.criterion(estimate, clean, label)


def weight_of(name: str, config: FinetuneConfig) -> float:
    """The weight of a criterion, by its key in `criteria_of`."""
    own = {"representativeness": config.minimax.representativeness, "diversity": config.minimax.diversity}
    if name in own:
        return own[name]
    term = config.criteria[name.replace("/", ".")]
    return term.weight if isinstance(term, Term) else term
