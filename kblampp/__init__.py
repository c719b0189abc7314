"""KBLaM++: facts as key and value vectors, and the text encoders that make them.

Imports neither kg_r1 nor verl.
"""

import logging
import os

# On some processors bitsandbytes, which peft imports, says "Failed to load" of a kernel that it does without:
# it was the first line of every command here, about 4-bit weights that no command asked for.
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)

# Threads wait for each other at every operation. They spin for microseconds, and then give their core away:
# spinning for good is a few per cent faster alone and takes three times as long beside one busy process
# (docs/log.md, benchmarks/busy_neighbour.py). Read when torch is loaded, so set here; a user's values stay.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "2000")
