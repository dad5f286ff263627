"""The daemon's process: `python -m emberd.server`. `emberd up` and the clients start it."""

from __future__ import annotations

import argparse
import asyncio
import sys

from emberd.config import Settings, load_settings
from emberd.errors import EmberdError, InternalError
from emberd.paths import Paths
from emberd.server.leaving import leave_behind
from emberd.server.ready import ReadyPipe
from emberd.telemetry.log import start_logging


def main(arguments: list[str] | None = None) -> int:
    """Run a daemon until it is asked to stop; 0 after an orderly end, 1 where it cannot start."""
    parser = argparse.ArgumentParser(prog="emberd.server", description=__doc__)
    parser.add_argument("--ready-fd", type=int, help="write a line of JSON here when it serves")
    parser.add_argument("--foreground", action="store_true", help="log to stderr")
    options = parser.parse_args(arguments)
    ready = ReadyPipe(options.ready_fd)
    paths = Paths.from_environment()
    try:
        settings = load_settings(paths.config_file)
        with _runner() as runner:
            runner.run(_serve(settings, paths, ready, is_foreground=options.foreground))
    except EmberdError as exc:
        return _fail(ready, exc)
    except OSError as exc:
        return _fail(ready, InternalError(f"The daemon could not start: {exc}"))
    return 0


async def _serve(
    settings: Settings, paths: Paths, ready: ReadyPipe, *, is_foreground: bool
) -> None:
    from emberd.server.daemon import Daemon  # noqa: PLC0415 - numpy and more: not for --help

    logger = start_logging(settings.log, None if is_foreground else paths.log_file)
    daemon = Daemon(settings, paths, logger)
    try:
        await daemon.start()
    except EmberdError as exc:
        logger.error(  # noqa: TRY400 - a refusal, told in one line
            exc.message, extra={"event": "daemon.failed", "fields": {"code": exc.code}}
        )
        raise
    await daemon.serve(ready)


def _runner() -> asyncio.Runner:
    """uvloop where it exists: about a third less time on each tiny request."""
    try:
        import uvloop  # noqa: PLC0415
    except ImportError:
        return asyncio.Runner()
    return asyncio.Runner(loop_factory=uvloop.new_event_loop)


def _fail(ready: ReadyPipe, error: EmberdError) -> int:
    ready.failed(error)
    print(f"error: {error.to_text()}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    code = main()
    leave_behind(code)
    sys.exit(code)
