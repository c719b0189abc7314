"""The watchdog ends what has stopped moving and leaves alone what moves."""

from __future__ import annotations

import subprocess
import sys
import threading

from verl_ext.watchdog import EXIT_STATUS, Watchdog


def test_a_stalled_stage_is_named_once() -> None:
    stalled = threading.Event()
    messages: list[str] = []

    def on_stall(message: str) -> None:
        messages.append(message)
        stalled.set()

    watchdog = Watchdog(0.05, on_stall)
    watchdog.enter("step 3: weight synchronisation")
    assert stalled.wait(timeout=10)
    assert len(messages) == 1
    assert "'step 3: weight synchronisation'" in messages[0]
    assert "trainer.kg.max_stage_s" in messages[0]


def test_a_stage_may_have_a_lower_limit_of_its_own() -> None:
    stalled = threading.Event()
    messages: list[str] = []

    def on_stall(message: str) -> None:
        messages.append(message)
        stalled.set()

    watchdog = Watchdog(3600.0, on_stall)
    watchdog.enter("step 3: weight synchronisation", 0.05)
    assert stalled.wait(timeout=10)
    assert "trainer.kg.max_sync_s=0:" in messages[0]


def test_a_stopped_watchdog_is_silent() -> None:
    messages: list[str] = []
    watchdog = Watchdog(0.05, messages.append)
    watchdog.stop()
    threading.Event().wait(0.3)
    assert messages == []


def test_by_default_the_process_ends_with_the_cause_and_the_stacks() -> None:
    code = (
        "import time; from verl_ext.watchdog import Watchdog\n"
        "Watchdog(0.05).enter('generation')\n"
        "def waits_for_ever():\n    time.sleep(60)\n"
        "waits_for_ever()"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50)
    assert finished.returncode == EXIT_STATUS
    assert "error [stalled]: the stage 'generation'" in finished.stderr
    assert "waits_for_ever" in finished.stderr
