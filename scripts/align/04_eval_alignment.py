"""Step 4 of six: `kblampp-align eval`, with the same options."""

import sys

from kblampp.align.cli import main

if __name__ == "__main__":
    sys.exit(main(["eval", *sys.argv[1:]]))
