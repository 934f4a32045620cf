"""The same arms judged by several networks, in one table: whether what a set is worth depends on who learns from it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from roadstill.agents import AgentConfig
from roadstill.agents.networks import comes_with_weights
from roadstill.evaluation.compare import Comparison

RULE = (
    "A set that serves only the network that it was made with is no distilled set: judge it with networks that took "
    "no part."
)


def other_network(config: AgentConfig, network: str) -> AgentConfig:
    """The settings for agents of another network: nothing is frozen and nothing of the first network's is kept.

    Only ``head_only`` is, for networks that come with weights.
    """
    if network == config.network:
        return config
    if config.head_only and comes_with_weights(network):
        return replace(config, network=network, weights=None)
    return replace(
        config, network=network, weights=None, freeze=0, batch_norm="batch", head_init="random", head_only=False
    )


def network_table(
    figures: Mapping[str, Mapping[str, tuple[float, float]]],
    networks: Mapping[str, str],
    refiners: Mapping[str, Sequence[str]],
) -> list[list[str]]:
    """Rows of a table arm x network: balanced accuracy in percent, with a star where the arm was made with the network.

    Args:
        figures: for each kind of agent, mean and standard deviation by arm, as fractions.
        networks: network of each kind.
        refiners: networks that an arm was refined or distilled with, of those that were.

    Returns:
        The head, then a row for each arm.
    """
    rows = [["trained on", *figures]]
    for arm in dict.fromkeys(name for its in figures.values() for name in its):
        cells = [arm]
        for kind, its in figures.items():
            star = " *" if networks[kind] in refiners.get(arm, ()) else ""
            cells.append(f"{100 * its[arm][0]:.1f} ± {100 * its[arm][1]:.1f}{star}" if arm in its else "")
        rows.append(cells)
    return rows


def figures_of(found: Mapping[str, Comparison]) -> dict[str, dict[str, tuple[float, float]]]:
    """What `network_table` takes, of comparisons of the same arms."""
    return {
        kind: {name: (arm.balanced_accuracy.mean, arm.balanced_accuracy.sd) for name, arm in comparison.arms.items()}
        for kind, comparison in found.items()
    }


def footnote(refiners: Mapping[str, Sequence[str]]) -> str:
    """What the star means; empty if no network took part."""
    which = "a" if any(len(its) > 1 for its in refiners.values()) else "the"
    return f"* {which} network that this arm was made with. {RULE}" if refiners else ""
