"""Tells Hydra where verl's configuration and ours lie, so that no profile has to.

Importing this module registers the plug-in; a profile in ``configs/`` then names what it builds on.
"""

from __future__ import annotations

from pathlib import Path

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin

CONFIG_FOLDER = Path(__file__).resolve().parent.parent / "configs"


class VerlSearchPath(SearchPathPlugin):
    """Both packages, after the folder of the profile."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        search_path.append("verl_ext", "pkg://verl_ext.config")
        search_path.append("verl", "pkg://verl.trainer.config")


Plugins.instance().register(VerlSearchPath)
