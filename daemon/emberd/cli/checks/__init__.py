"""What `emberd doctor` looks at: each check is a function that reports and never raises."""

from __future__ import annotations

from emberd.cli.checks.finding import Finding
from emberd.cli.checks.run import all_findings

__all__ = ["Finding", "all_findings"]
