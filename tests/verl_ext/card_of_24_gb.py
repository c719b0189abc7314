"""Imported by verl's workers (``external_lib``) in the tests of the 24 GB card: no process may hold more."""

from __future__ import annotations

import torch

CARD_GIB = 24

if torch.cuda.is_available():
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(min(1.0, CARD_GIB * 1024**3 / total))
