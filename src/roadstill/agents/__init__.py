"""Driving agents: small classifiers that are trained on an image set and asked for one probability per class."""

from roadstill.agents.features import FeatureCache
from roadstill.agents.picking import ForgettingCounts, selector_tools
from roadstill.agents.training import Agent, AgentConfig, open_agent, train_agent

__all__ = [
    "Agent", "AgentConfig", "FeatureCache", "ForgettingCounts", "open_agent", "selector_tools", "train_agent",
]  # fmt: skip
