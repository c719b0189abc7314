"""Says that the machine's memory is nearly full before somebody ends the run for it.

Ray ends a worker when 95 % of the memory is in use, the kernel later whichever process it likes; either way
the run is over with a line about a worker that died.
"""

from __future__ import annotations

from pathlib import Path

import psutil

GIB = 1024**3
WARN_SHARE = 0.88  # of the memory; Ray's monitor acts at .95 (RAY_memory_usage_threshold)
CGROUP = Path("/sys/fs/cgroup")  # version 2, a container's own limit
NUM_NAMED = 3  # processes


def used_and_total(cgroup: Path = CGROUP) -> tuple[int, int]:
    """Bytes in use and bytes there are, of the container where it has a limit and else of the machine.

    File pages that the kernel would give back are not in use.
    """
    machine = psutil.virtual_memory()
    found = machine.total - machine.available, machine.total
    try:
        limit = int((cgroup / "memory.max").read_text(encoding="utf-8"))
        current = int((cgroup / "memory.current").read_text(encoding="utf-8"))
        statistics = (cgroup / "memory.stat").read_text(encoding="utf-8").split()
    except (OSError, ValueError):
        return found  # no such files, or "max": no limit
    reclaimable = int(statistics[statistics.index("inactive_file") + 1])
    return (current - reclaimable, limit) if limit < machine.total else found


def nearly_full() -> str | None:
    """A line on the machine's memory, when little of it is left; else None."""
    used, total = used_and_total()
    if used < WARN_SHARE * total:
        return None
    largest = sorted(_resident().items(), key=lambda item: -item[1])[:NUM_NAMED]
    named = ", ".join(f"{title} {size / GIB:.1f}" for title, size in largest)
    return (
        f"{used / GIB:.1f} of {total / GIB:.1f} GiB of memory are in use (largest: {named}), and Ray ends a "
        "worker at 95 %: lower actor_rollout_ref.actor.ppo_max_token_len_per_gpu or rollout.max_num_seqs, or "
        "end other programs; a run of the same name goes on from its last checkpoint"
    )


def _resident() -> dict[str, int]:
    """Resident bytes of the machine's processes by name and id."""
    found = {}
    for process in psutil.process_iter(["pid", "name", "cmdline", "memory_info"]):
        if process.info["memory_info"] is not None:
            title = (process.info["cmdline"] or [process.info["name"]])[0]
            found[f"{title.split('/')[-1][:40]} ({process.info['pid']})"] = process.info["memory_info"].rss
    return found
