"""KBLaM++: facts as key and value vectors, and the text encoders that make them.

Imports neither kg_r1 nor verl.
"""

import logging

# On some processors bitsandbytes, which peft imports, says "Failed to load" of a kernel that it does without:
# it was the first line of every command here, about 4-bit weights that no command asked for.
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
