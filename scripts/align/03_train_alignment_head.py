"""Step 3 of six: `kblampp-align train`, with the same options."""

import sys

from kblampp.align.cli import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))
