"""One browser's dashboard: it ends with the server that started it, whatever has ended that."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

from emberd_tui.__main__ import main

__all__: list[str] = []

_LOOK_S = 1.0


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK_S)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    sys.exit(main())
