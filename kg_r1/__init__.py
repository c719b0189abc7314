"""The agent and its world: a knowledge graph, the server that searches it, episodes, rewards and data."""

import os

# Threads wait for each other at every operation. They spin for microseconds, and then give their core away:
# spinning for good is a few per cent faster alone and takes three times as long beside one busy process
# (docs/log.md, benchmarks/busy_neighbour.py). Read when torch is loaded, so set here; a user's values stay.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "2000")

__version__ = "2.0.0"
