"""What both training loops share: which rows a step draws, the learning rate's shape, state that can be resumed.

Everything random is a function of (seed, step), so a loop needs no saved random state: a run that was killed and
resumed equals an unbroken one bit for bit.
"""

import json
import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from roadstill.errors import UserError
from roadstill.runs import Count, Digest, Record, atomic_path, read_metrics, seed_of, typed
from roadstill.weights.tensors import is_finite, open_tensors


class _StateRecord(Record, kw_only=True, frozen=True):
    """Metadata of a saved state."""

    key: Digest
    step: Count


@lru_cache(maxsize=8)
def _epoch_order(size: int, seed: int, name: str, epoch: int) -> NDArray[np.int64]:
    return np.random.default_rng(seed_of("order", seed, name, epoch)).permutation(size)


def rows_of_step(size: int, count: int, *, seed: int, step: int, name: str = "") -> NDArray[np.int64]:
    """The rows that one step draws: every row once per epoch, a new order each epoch.

    Args:
        size: number of rows to draw from.
        count: rows per step.
        seed: the run's seed.
        step: 0-based step.
        name: name of the stream, to keep several (for example one per class) apart.

    Returns:
        ``[count]`` row numbers.
    """
    positions = np.arange(step * count, (step + 1) * count)
    return np.array([_epoch_order(size, seed, name, int(at) // size)[int(at) % size] for at in positions], np.int64)


def balanced_rows(members: Sequence[NDArray[np.int64]], count: int, *, seed: int, step: int) -> NDArray[np.int64]:
    """As `rows_of_step`, but the classes that have rows take turns, whatever their shares of the data.

    Turns continue from step to step, so that batches smaller than the number of classes reach all of them, too.

    Args:
        members: the rows of each class that has any.
        count: rows per step.
        seed: the run's seed.
        step: 0-based step.
    """
    rounds, classes = np.divmod(np.arange(step * count, (step + 1) * count), len(members))
    rows = np.empty(count, np.int64)
    for number in np.unique(classes):
        of_class, turns = members[number], np.flatnonzero(classes == number)
        epochs, places = np.divmod(rounds[turns], len(of_class))
        for epoch in np.unique(epochs):
            order = _epoch_order(len(of_class), seed, f"class{number}", int(epoch))
            rows[turns[epochs == epoch]] = of_class[order[places[epochs == epoch]]]
    return rows


def evenly(rows: NDArray[np.int64], limit: int) -> NDArray[np.int64]:
    """At most ``limit`` of the rows, in order and evenly spread over them."""
    return rows[np.linspace(0, len(rows) - 1, min(limit, len(rows))).astype(np.int64)]


def rate_at(step: int, *, steps: int, warmup_steps: int, decay: str) -> float:
    """Share of the learning rate at a 0-based step: linear warm-up, then constant (``none``) or a cosine to zero."""
    if step < warmup_steps:
        return (step + 1) / (warmup_steps + 1)
    if decay == "none":
        return 1.0
    share = (step - warmup_steps) / max(1, steps - warmup_steps)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, share)))


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Sets the learning rate of every parameter group."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def finite_sum(terms: Mapping[str, Tensor], *, step: int, rows: Sequence[int] | NDArray[np.int64]) -> Tensor:
    """The sum of a loss's terms, before anything is learned from it.

    Args:
        terms: weighted terms by name, each a scalar.
        step: 0-based step.
        rows: rows of the training data that the loss is of.

    Raises:
        UserError: the sum is not finite; names the step, the terms and the rows.
    """
    loss = torch.stack(list(terms.values())).sum()
    if not bool(loss.detach().isfinite()):
        wrong = [name for name, term in terms.items() if not bool(term.detach().isfinite())] or list(terms)
        shown = ", ".join(map(str, list(rows)[:8])) + (", ..." if len(rows) > 8 else "")
        raise UserError(
            f"step {step + 1}: the loss is not finite ({', '.join(wrong)}; rows {shown}); what was saved before it is "
            "kept; lower the learning rate, or check the data of these rows"
        )
    return loss


def require_finite(state: Mapping[str, Tensor], *, step: int) -> None:
    """Refuses to save a state that the last step has spoilt.

    Raises:
        UserError: a tensor that is not finite.
    """
    wrong = [name for name, tensor in state.items() if not is_finite(tensor)]
    if wrong:
        raise UserError(
            f"step {step + 1}: {len(wrong)} of {len(state)} tensors are not finite, the first {wrong[0]}; what was "
            "saved before it is kept; lower the learning rate"
        )


def generator_of(*parts: object) -> torch.Generator:
    """A CPU generator that depends on ``parts`` alone, the same on every device and machine."""
    return torch.Generator().manual_seed(seed_of(*parts))


def optimizer_tensors(optimizer: torch.optim.Optimizer, names: Sequence[str]) -> dict[str, Tensor]:
    """The optimiser's state as named tensors; ``names`` in the order in which the parameters were given to it."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    return {
        f"optimizer/{name}/{key}": torch.as_tensor(value).detach().cpu().contiguous()
        for name, parameter in zip(names, parameters, strict=True)
        for key, value in optimizer.state[parameter].items()
    }


def restore_optimizer(optimizer: torch.optim.Optimizer, names: Sequence[str], tensors: Mapping[str, Tensor]) -> None:
    """Puts back what `optimizer_tensors` gave."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for index, (name, parameter) in enumerate(zip(names, parameters, strict=True)):
        prefix = f"optimizer/{name}/"
        found = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
        # The fused step walks raw memory: moments need their parameter's layout, channels last included.
        state[index] = {
            key: torch.empty_like(parameter, dtype=value.dtype).copy_(value)
            if value.shape == parameter.shape
            else value
            for key, value in found.items()
        }
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def saved_state(path: Path, key: str, what: str) -> tuple[dict[str, Tensor], int] | None:
    """Tensors of a training that was stopped, and its number of steps done; None if none was saved.

    Args:
        path: file that was written with the metadata ``key`` and ``step``.
        key: key of the training to be resumed.
        what: description of the file, for messages.

    Raises:
        UserError: a damaged file, or the state of a training with other settings.
    """
    if not path.is_file():
        return None
    file = open_tensors(path, what)
    record = typed(dict(file.about), _StateRecord, f"{path}, metadata", "remove the file and begin anew")
    if record.key != key:
        raise UserError(f"{path.parent} holds a training with other settings; choose another folder or remove it")
    return file.tensors(), record.step


def rewind_metrics(path: Path, step: int) -> None:
    """Drops the lines of ``metrics.jsonl`` after ``step``, so that a resumed run does not log twice."""
    if path.is_file():
        kept = [row for row in read_metrics(path) if int(row.get("step", 0)) <= step]
        with atomic_path(path) as temporary:
            temporary.write_text("".join(json.dumps(row) + "\n" for row in kept), encoding="utf-8")


def channels_last(network: torch.nn.Module) -> None:
    """Lays out convolution weights channels last, in place: several times faster on CPUs, equally correct elsewhere."""
    for parameter in network.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
