"""The browser tests read what the unit tests of pages and steward make up; axe's version is told at the end."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit" / "reports"))
sys.path.append(str(Path(__file__).resolve().parents[1] / "unit" / "identity"))

from chromium import axe, browser  # noqa: E402, F401 (fixtures)


def pytest_terminal_summary(terminalreporter):
    done = [each for name in ("passed", "failed") for each in terminalreporter.stats.get(name, [])]
    found = [dict(each.user_properties)["axe_version"] for each in done if "axe_version" in dict(each.user_properties)]
    if found:
        terminalreporter.write_line(
            f"axe {', '.join(sorted(set(found)))}: {len(found)} pages judged by WCAG 2.1 A and AA"
        )
