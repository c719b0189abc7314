"""The agent and its world: a knowledge graph, the server that searches it, episodes, rewards and data."""

import os

# Threads that wait for each other at every operation must not keep a core busy while they do: beside one
# other process that costs a training a factor of ten (docs/log.md, benchmarks/busy_neighbour.py). Read when
# torch is loaded, therefore set here; a value of the user's stays.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__version__ = "2.0.0"
