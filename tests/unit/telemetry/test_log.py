from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

from emberd.telemetry import EventLog
from emberd.telemetry.log import LineFormatter

PROGRAM = """
import sys
from pathlib import Path
from emberd.config import LogSettings
from emberd.telemetry import EventLog
from emberd.telemetry.log import start_logging
events = EventLog(start_logging(LogSettings(max_mib=1, keep=2), Path(sys.argv[1])))
for number in range(int(sys.argv[2])):
    events.emit("test.event", "something happened", number=number, text="two words")
"""


def run(file: Path, count: int) -> None:
    subprocess.run([sys.executable, "-c", PROGRAM, str(file), str(count)], check=True)


def test_every_event_is_in_the_file_when_the_process_has_ended(tmp_path: Path) -> None:
    file = tmp_path / "logs" / "emberd.log"
    run(file, 3)
    lines = file.read_text().splitlines()
    assert len(lines) == 3
    assert lines[2].endswith('INFO test.event something happened number=2 text="two words"')


def test_the_file_is_rotated_and_old_ones_are_dropped(tmp_path: Path) -> None:
    file = tmp_path / "emberd.log"
    run(file, 50_000)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "emberd.log",
        "emberd.log.1",
        "emberd.log.2",
    ]
    assert all(path.stat().st_size <= 1 << 20 for path in tmp_path.iterdir())


def test_a_message_stays_on_one_line() -> None:
    record = logging.LogRecord("emberd", logging.INFO, "", 0, "two\nlines", None, None)
    assert "two\\nlines" in LineFormatter().format(record)


def test_the_newest_fifty_events_are_kept_in_order() -> None:
    events = EventLog(logging.getLogger("emberd.test.events"))
    for number in range(60):
        events.emit("test.event", str(number))
    assert [record.message for record in events.records()] == [str(n) for n in range(10, 60)]
