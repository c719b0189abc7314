"""Oracle walks for a profile: ``python -m verl_ext.walks --config-name cpu_135m --num-walks 400 --out FILE``.

The same as ``python -m kg_r1.data.build walks``, with questions, actions and limits taken from the
configuration that will train, so that the cold start sees the very prompts that reinforcement learning will
see. Further arguments are overrides, as for ``verl_ext.main_ppo``. The validation questions are kept apart.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from kg_r1.data.build import UsageError, make_walks
from kg_r1.data.oracle_walk import OracleConfig
from kg_r1.kg.errors import KGError
from verl_ext.profiles import composed, episode_limits, questions_of
from verl_ext.settings import SettingsError


def walks_of_profile(options: argparse.Namespace, overrides: Sequence[str]) -> str:
    """Build and write the walks; returns the report.

    Raises:
        UsageError, SettingsError, KGError: for what cannot be done as asked.
    """
    config = composed(options.config_name, overrides)
    train, apart = questions_of(config.data.train_files), questions_of(config.data.val_files)
    limits, search = episode_limits(config, validate=False)
    oracle = OracleConfig(
        max_searches=max(1, limits.max_turns - 1),
        look_rate=options.look_rate,
        detour_rate=options.detour_rate,
    )
    options.base_data_path = Path(search.base_data_path or options.base_data_path)
    return make_walks(train, apart, limits, oracle, options)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; a user's mistake is one line and exit status 2."""
    parser = argparse.ArgumentParser(
        prog="python -m verl_ext.walks", description="Oracle walks for the cold start of a profile."
    )
    parser.add_argument("--config-name", default="cpu_135m", help="a profile of configs/")
    parser.add_argument("--num-walks", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True, help="the JSON lines file to write")
    parser.add_argument(
        "--tokenizer",
        type=Path,
        default=Path("models/SmolLM2-135M-Instruct"),
        help="the folder of the model's tokenizer",
    )
    parser.add_argument(
        "--base_data_path", type=Path, default=Path("data_kg"), help="the folder of the data sets"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--look-rate", type=float, default=0.3, help="share of walks that first list relations"
    )
    parser.add_argument(
        "--detour-rate", type=float, default=0.4, help="share of walks that take a wrong turn and come back"
    )
    options, overrides = parser.parse_known_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        text = walks_of_profile(options, overrides)
    except (KGError, UsageError, SettingsError, ValueError) as error:
        sys.stderr.write(f"error [{getattr(error, 'code', 'bad_option')}]: {error}\n")
        return 2
    sys.stdout.write(text + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
