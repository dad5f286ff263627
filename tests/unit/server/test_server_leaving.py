from __future__ import annotations

import subprocess
import sys
import textwrap


def exit_code_of(code: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout


def test_a_thread_that_never_ends_does_not_hold_up_the_process() -> None:
    code = """
        import atexit, threading
        from emberd.server import leaving
        leaving._PATIENCE_S = 0.05
        atexit.register(print, "written", flush=True)
        threading.Thread(target=threading.Event().wait).start()
        leaving.leave_behind(3)
    """
    assert exit_code_of(code) == (3, "written\n")


def test_without_such_a_thread_the_process_ends_as_ever() -> None:
    code = """
        import threading
        from emberd.server.leaving import leave_behind
        threading.Thread(target=print, args=("done",)).start()
        leave_behind(3)
        print("after")
    """
    assert exit_code_of(code) == (0, "done\nafter\n")
