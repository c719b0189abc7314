"""Step 1 of six: `kblampp-align build-dataset`, with the same options."""

import sys

from kblampp.align.cli import main

if __name__ == "__main__":
    sys.exit(main(["build-dataset", *sys.argv[1:]]))
