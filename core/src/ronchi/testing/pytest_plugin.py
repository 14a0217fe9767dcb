"""Plugin of pytest, on demand: ``-p ronchi.testing.pytest_plugin``, or imported in a ``conftest.py``.

It prints how many checks of each contract ran, and brings the fixture ``ronchi_manager``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ronchi.manager import Manager
from ronchi.testing.contract import Contract, Report
from ronchi.testing.isolation import isolated_manager

__all__ = ["pytest_terminal_summary", "ronchi_manager"]


@pytest.fixture
def ronchi_manager() -> Callable[..., Manager]:
    """`isolated_manager`: makes a manager that knows ronchi's own algorithms and those of the modules given."""
    return isolated_manager


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print a line for every contract that was run."""
    reports = [Report(f"{each.kind}/{each.algorithm}", tuple(each.done().values())) for each in _contracts(Contract)]
    reports = [report for report in reports if report.outcomes]
    if reports:
        terminalreporter.section("contracts")
        for report in reports:
            terminalreporter.line(report.summary)


def _contracts(base: type[Contract]) -> list[type[Contract]]:
    return [each for child in base.__subclasses__() for each in (child, *_contracts(child))]
