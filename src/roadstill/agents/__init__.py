"""Driving agents: small classifiers that are trained on an image set and asked for one probability per class."""

from roadstill.agents.agent import Agent, open_agent
from roadstill.agents.config import AgentConfig, protocol
from roadstill.agents.features import FeatureCache
from roadstill.agents.picking import ForgettingCounts, selector_tools
from roadstill.agents.seeds import train_agents
from roadstill.agents.targets import soften
from roadstill.agents.training import train_agent

__all__ = [
    "Agent",
    "AgentConfig",
    "FeatureCache",
    "ForgettingCounts",
    "open_agent",
    "protocol",
    "selector_tools",
    "soften",
    "train_agent",
    "train_agents",
]
