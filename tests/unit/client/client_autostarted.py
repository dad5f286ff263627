"""What the autostart tests start in the daemon's place: `client_autostarted.py MODE --ready-fd N`.

It finds its folders by EMBERD_HOME, as the daemon does, and writes a line to `starts` each time.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    mode, fd = sys.argv[1], int(sys.argv[sys.argv.index("--ready-fd") + 1])
    home = Path(os.environ["EMBERD_HOME"])
    with (home / "starts").open("a") as starts:
        starts.write(f"{os.getpid()} {os.getcwd()} {os.getsid(0) != os.getppid()}\n")
    if mode == "silent":
        return
    if mode == "hang":
        signal.pause()
    if mode == "fail":
        report(fd, state="failed", code="INVALID_CONFIG", message="engine.threads is wrong.")
    elif mode == "already":
        report(fd, state="failed", code="ALREADY_RUNNING", message="Another daemon runs.")
    elif mode == "noise":
        os.write(fd, b"Traceback (most recent call last)\n")
    else:
        serve(fd, home)


def report(fd: int, **fields: Any) -> None:
    os.write(fd, json.dumps(fields).encode() + b"\n")
    os.close(fd)


def serve(fd: int, home: Path) -> None:
    from client_daemon import TestDaemon

    lock = os.open(home / "run" / "emberd.lock", os.O_CREAT | os.O_RDWR)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        report(fd, state="failed", code="ALREADY_RUNNING", message="Another daemon runs.")
        return
    daemon = TestDaemon(home)
    daemon.path = home / "run" / "emberd.sock"
    daemon.handlers["shutdown"] = lambda params: {"state": "draining"}
    daemon.start()
    report(fd, state="ready", pid=os.getpid(), socket=str(daemon.path))
    daemon.wait_asked("shutdown")
    daemon.stop()


if __name__ == "__main__":
    main()
