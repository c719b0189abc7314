"""Write a copy of an encoder with its first layers only: a small student for the alignment.

python scripts/cut_layers.py models/all-MiniLM-L6-v2 --layers 2 --out models/MiniLM-2-layers
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from transformers import AutoModel


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path, help="a folder with a BERT-like checkpoint")
    parser.add_argument("--layers", type=int, required=True, help="how many stay")
    parser.add_argument("--out", type=Path, required=True, help="a new folder")
    options = parser.parse_args()
    if not (options.source / "config.json").is_file():
        sys.exit(f"error: {options.source} is no checkpoint; `python -m kblampp.encoders.fetch` brings one")
    if options.out.exists():
        sys.exit(f"error: {options.out} is there already; give a new folder")
    model = AutoModel.from_pretrained(str(options.source))
    layers = getattr(getattr(model, "encoder", None), "layer", None)
    if layers is None or not 0 < options.layers <= len(layers):
        sys.exit(
            f"error: {options.source} has {len(layers or ())} encoder layers; give --layers from 1 to that"
        )
    model.encoder.layer = layers[: options.layers]
    model.config.num_hidden_layers = options.layers
    shutil.copytree(options.source, options.out)
    model.save_pretrained(options.out)
    print(options.out)


if __name__ == "__main__":
    main()
