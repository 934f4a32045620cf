"""Driving agents: small classifiers that are trained on an image set and asked for one probability per class."""

from roadstill.agents.agent import Agent, open_agent
from roadstill.agents.config import AgentConfig
from roadstill.agents.features import FeatureCache
from roadstill.agents.seeds import train_agents
from roadstill.agents.targets import soften
from roadstill.agents.training import train_agent

__all__ = ["Agent", "AgentConfig", "FeatureCache", "open_agent", "soften", "train_agent", "train_agents"]
