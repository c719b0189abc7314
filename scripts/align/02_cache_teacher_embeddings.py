"""Step 2 of six: `kblampp-align cache-teacher`, with the same options."""

import sys

from kblampp.align.cli import main

if __name__ == "__main__":
    sys.exit(main(["cache-teacher", *sys.argv[1:]]))
