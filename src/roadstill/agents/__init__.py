"""Driving agents: small classifiers that are trained on an image set and asked for one probability per class."""

from roadstill.agents.features import FeatureCache
from roadstill.agents.training import Agent, AgentConfig, open_agent, train_agent

__all__ = ["Agent", "AgentConfig", "FeatureCache", "open_agent", "train_agent"]
