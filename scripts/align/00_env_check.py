"""Step 0 of six: `kblampp-align env-check`, with the same options."""

import sys

from kblampp.align.cli import main

if __name__ == "__main__":
    sys.exit(main(["env-check", *sys.argv[1:]]))
