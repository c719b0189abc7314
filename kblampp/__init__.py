"""KBLaM++: facts as key and value vectors, and the text encoders that make them.

Imports neither kg_r1 nor verl.
"""

import logging
import os

# On some processors bitsandbytes, which peft imports, says "Failed to load" of a kernel that it does without:
# it was the first line of every command here, about 4-bit weights that no command asked for.
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)

# Threads that wait for each other at every operation must not keep a core busy while they do: beside one
# other process that costs a training a factor of ten (docs/log.md, benchmarks/busy_neighbour.py). Read when
# torch is loaded, therefore set here; a value of the user's stays.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
