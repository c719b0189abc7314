"""The agent and its world: a knowledge graph, the server that searches it, episodes, rewards and data."""

__version__ = "2.0.0"
