"""The attributes that a generator learns: its table of their values, and the rows that each training sample is told."""

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from roadstill.codecs.latents import LatentStore
from roadstill.errors import UserError, located
from roadstill.generator.config import Attributes
from roadstill.imagesets.attributes import UNKNOWN, Vocabulary, described, extended, rows_of
from roadstill.learning.loops import generator_of
from roadstill.networks.conditions import AttributeEmbed
from roadstill.networks.dit import DiT


def vocabulary_of(known: Vocabulary, latents: LatentStore, names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """What a generator knows after a training: its own values, and behind them those that the latents add.

    Args:
        known: vocabulary of the base.
        latents: training data.
        names: attributes that are learned.

    Raises:
        UserError: the latents do not keep them, or both together are no vocabulary.
    """
    if missing := [name for name in names if name not in latents.attributes]:
        kept = f"keep {described(latents.attributes)}" if latents.attributes else "keep no attributes"
        raise UserError(
            f"attributes.names asks for {missing[0]!r}, but the latents {latents.root} {kept}; encode the set again "
            f"with --attributes {','.join(names)}"
        )
    with located(latents.root):
        return extended(known, {name: latents.attributes[name] for name in names})


def learn_attributes(network: nn.Module, known: Vocabulary, vocabulary: Vocabulary) -> int:
    """Makes a network's table of attributes learn; new values start at zero. Returns the number of its rows.

    Args:
        network: DiT, changed in place.
        known: vocabulary of its table until now.
        vocabulary: that of the new one.

    Raises:
        UserError: as `renew_attributes`.
    """
    now = rows_of(vocabulary)
    renew_attributes(network, len(now), {row: now[pair] for pair, row in rows_of(known).items()})
    return len(now)


@torch.no_grad()
def renew_attributes(network: nn.Module, rows: int, kept: Mapping[int, int] | None = None) -> None:
    """Gives a network a trainable table of attributes.

    Args:
        network: DiT, changed in place.
        rows: rows of the new table; 0 takes the table away.
        kept: new row of each old one that is kept; the others are zero, so that they change nothing at first.

    Raises:
        UserError: a network that is told no attributes.
    """
    if not isinstance(network, DiT):
        raise UserError(f"a {type(network).__name__} is told no attributes; leave attributes.names out, or take a DiT")
    old, table = network.a_embedder, AttributeEmbed(rows, network.hidden_size) if rows else None
    if table is not None and old is not None and not old.weight.is_meta:
        for before, now in (kept or {}).items():
            table.weight[now] = old.weight[before]
    network.a_embedder = table


@torch.no_grad()
def fold_attributes(network: DiT, rows: Iterable[int]) -> None:
    """Adds rows of attributes to every class row, for good, and takes the table away; the row without class stays.

    Args:
        network: DiT, changed in place.
        rows: rows of the table of attributes.
    """
    if network.a_embedder is not None:
        for row in rows:
            network.y_embedder.embedding_table.weight[:-1] += network.a_embedder.weight[row]
    renew_attributes(network, 0)


def rows_told(latents: LatentStore, names: Sequence[str], vocabulary: Vocabulary) -> Tensor | None:
    """The row of each latent's value of each attribute ``[n, a]``, -1 for none; None if nothing is asked for."""
    if not names or latents.codes is None:
        return None
    number, columns = rows_of(vocabulary), sorted(latents.attributes)
    told = []
    for name in names:
        rows = [number[name, value] for value in latents.attributes[name]]
        # The code of an unknown value is -1, which takes the last entry.
        told.append(torch.tensor([*rows, UNKNOWN])[torch.from_numpy(latents.codes[:, columns.index(name)])])
    return torch.stack(told, dim=1)


def dropped(rows: Tensor, config: Attributes, *key: object) -> Tensor:
    """Rows ``[b, a]`` of a training batch, some of them left out, so that any selection of attributes can be asked for.

    Args:
        rows: rows of the attributes.
        config: shares that are left out.
        key: what the choice depends on: seed, step, part.
    """
    generator = generator_of("attributes", *key)
    each = torch.rand(rows.shape, generator=generator) < config.dropout
    whole = torch.rand((len(rows), 1), generator=generator) < config.dropout_all
    return rows.masked_fill(each | whole, UNKNOWN)
