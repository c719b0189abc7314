"""Step 5 of six: `kblampp-align demo`, with the same options."""

import sys

from kblampp.align.cli import main

if __name__ == "__main__":
    sys.exit(main(["demo", *sys.argv[1:]]))
