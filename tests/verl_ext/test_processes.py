"""A run's processes are found and ended: the orphaned, the renamed and the stubborn too."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import psutil
import pytest

# What Ray's workers do, and what a process does that will not end when asked.
RENAMED = (
    "import setproctitle, time; setproctitle.setproctitle('ray::Agent'); print(flush=True); time.sleep(60)"
)
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(60)"
)


@pytest.mark.parametrize("code", [RENAMED, STUBBORN])
def test_an_orphan_is_ended_and_a_spared_process_is_not(code: str) -> None:
    # In a process of its own: adopting orphans lasts as long as the process does.
    script = textwrap.dedent(f"""
        import subprocess, sys
        from verl_ext.processes import adopt_orphans, descendants, stop_descendants

        adopt_orphans()
        spared = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        middle = "import subprocess, sys; " \\
            "child = subprocess.Popen([sys.executable, '-c', sys.argv[1]], stdout=subprocess.PIPE); " \\
            "child.stdout.readline(); print(child.pid)"
        started = [sys.executable, "-c", middle, {code!r}]
        orphan = int(subprocess.run(started, stdout=subprocess.PIPE, text=True, check=True).stdout)
        assert orphan in [process.pid for process in descendants()]
        stop_descendants(grace_s=0.5, spared=[spared.pid])
        assert descendants([spared.pid]) == []
        assert spared.poll() is None
        stop_descendants()
        assert descendants() == []
        print(orphan)
    """)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert not psutil.pid_exists(int(done.stdout))
