"""Say whether the environment is the CPU one; one line, exit status 2 when it is not."""

from __future__ import annotations

import sys


def main() -> None:
    import torch

    if torch.version.cuda is not None:
        sys.exit(
            f"error: torch {torch.__version__} is a CUDA build: give pip PyTorch's CPU index "
            "(pytorch.org, Get Started, CPU), or install for a GPU with `pip install -e .[gpu]`"
        )
    import vllm

    print(f"installed: torch {torch.__version__}, vLLM {vllm.__version__}")


if __name__ == "__main__":
    main()
