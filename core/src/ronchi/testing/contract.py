"""What all contracts share: which checks there are, how one is run and judged, and how pytest sees them.

A check is a method ``check_…``; the first line of its docstring is what an algorithm promises. One that takes an
argument is run for every set of parameters, the others once. Nothing here needs pytest.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from ronchi.manager import get_manager
from ronchi.testing.failure import ContractError, NotApplicable, from_error, params_text
from ronchi.testing.guards import in_empty_folder, overdue, time_limit
from ronchi.testing.subject import Subject

if TYPE_CHECKING:
    from ronchi.manager import Manager

__all__ = ["Check", "Contract", "Outcome", "Report"]

_PREFIX = "check_"
_FLOOR = "enough_checks_ran"
_LONGEST_LABEL = 40
_HUNG_OFTEN, _SHORT_LIMIT_S = 2, 10.0
_LATE_S = 5.0
_MOST_NAMES = 3

Status = Literal["passed", "failed", "expected", "not applicable", "not run"]


@dataclass(frozen=True)
class Check:
    """One check of one algorithm, with one set of its parameters (None: with no one in particular)."""

    name: str
    params: int | None = None
    label: str = ""

    @property
    def id(self) -> str:
        """Name in a list of tests."""
        return f"{self.name}-{self.label}" if self.label else self.name


@dataclass(frozen=True)
class Outcome:
    """How a check ended; ``message`` says what failed, or why it does not apply or was not run."""

    check: Check
    status: Status
    message: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class Report:
    """All outcomes of an algorithm."""

    algorithm: str
    outcomes: Sequence[Outcome] = field(default_factory=tuple)

    def of(self, status: Status) -> list[Outcome]:
        """Outcomes of one status."""
        return [outcome for outcome in self.outcomes if outcome.status == status]

    @property
    def ok(self) -> bool:
        """True if no check failed."""
        return bool(self.outcomes) and not self.of("failed")

    @property
    def summary(self) -> str:
        """``disk_detector/crosscorr: 31 checks, 0 failed, 1 expected to fail, 2 that do not apply, 1.2 s``."""
        left = len(self.of("not run"))
        ran = len(self.outcomes) - len(self.of("not applicable")) - left
        return (
            f"{self.algorithm}: {ran} checks, {len(self.of('failed'))} failed, "
            f"{len(self.of('expected'))} expected to fail, {len(self.of('not applicable'))} that do not apply, "
            + f"{left} not run, " * bool(left)
            + f"{sum(outcome.seconds for outcome in self.outcomes):.1f} s"
        )

    def __str__(self) -> str:
        lines = [self.summary]
        alike: dict[str, list[str]] = {}
        for outcome in self.of("failed"):
            alike.setdefault(outcome.message, []).append(outcome.check.id)
        # What fails most checks comes first: it is likely to be behind the others, too.
        for message, checks in sorted(alike.items(), key=lambda item: -len(item[1])):
            shown = checks if len(checks) <= _MOST_NAMES else [checks[0], f"and {len(checks) - 1} more like it"]
            lines += [f"  FAILED {', '.join(shown)}", *(f"    {line}" for line in message.splitlines())]
        for outcome in self.of("expected"):
            lines.append(f"  expected to fail: {outcome.check.id}: {outcome.message}")
        return "\n".join(lines)


class Contract:
    """Base of the contracts of all kinds; subclass that of your algorithm's kind.

    Attributes
    ----------
    algorithm : str
        Name of the algorithm, as in a pipeline.
    params : sequence of mapping
        Sets of parameters to check it with; the defaults alone by default.
    expected_failures : mapping of str to str
        Check to the reason why it fails, without ``check_``; one that passes all the same is a failure.
    time_limit_s : float
        Longest that a check may take; 10 s at most once two of them have hung.
    min_checks : int
        Fewest checks that must run: a contract that checks next to nothing fails.
    manager : Manager or None
        Finds the algorithm; that of the process by default.
    """

    kind: ClassVar[str] = ""
    algorithm: ClassVar[str] = ""
    params: ClassVar[Sequence[Mapping[str, Any]]] = ({},)
    expected_failures: ClassVar[Mapping[str, str]] = {}
    time_limit_s: ClassVar[float] = 120.0
    min_checks: ClassVar[int] = 10
    manager: ClassVar[Manager | None] = None
    _needed: ClassVar[tuple[str, ...]] = ()  # checks without which those that follow would all fail for one reason
    _done: ClassVar[dict[Check, Outcome]]
    _kept: ClassVar[dict[Any, Any]]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls._done, cls._kept = {}, {}
        promised = set(cls._names())
        for name, reason in cls.expected_failures.items():
            if name not in promised:
                raise TypeError(f"{cls.__name__}.expected_failures names {name!r}, which is no check of a {cls.kind}")
            if not reason.strip():
                raise TypeError(f"{cls.__name__}.expected_failures[{name!r}] gives no reason")

    @property
    def subject(self) -> Subject:
        """The algorithm under test."""
        return Subject(self.kind, self.algorithm, self.manager or get_manager())

    def given(self, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """Parameters with those that every call needs, such as the path of a reader."""
        return params

    @classmethod
    def _names(cls) -> list[str]:
        """Checks in the order in which the classes state them, those of the base first."""
        named = {name: None for base in reversed(cls.__mro__) for name in vars(base) if name.startswith(_PREFIX)}
        return [name.removeprefix(_PREFIX) for name in named if getattr(cls, name) is not None]

    @classmethod
    def checks(cls) -> list[Check]:
        """All checks, those of parameters once for each set."""
        found = []
        for name in cls._names():
            if len(inspect.signature(getattr(cls, _PREFIX + name)).parameters) > 1:
                found += [Check(name, i, cls._label(i)) for i in range(len(cls.params))]
            else:
                found.append(Check(name))
        return [*found, Check(_FLOOR)]

    @classmethod
    def _label(cls, i: int) -> str:
        """What tells a set of parameters from the others in the name of a test."""
        text = params_text(cls.params[i])
        if len(cls.params) == 1 or not cls.params[i]:
            return ""
        return text if len(text) <= _LONGEST_LABEL else f"params{i}"

    def where(self, params: Mapping[str, Any] | None = None) -> str:
        """The algorithm, with parameters if they are not the defaults, for messages."""
        return f"{self.kind}/{self.algorithm}" + (f" ({params_text(params)})" if params else "")

    def perform(self, check: Check) -> Outcome:
        """Run one check in an empty folder and judge it."""
        start = time.perf_counter()
        expected = self.expected_failures.get(check.name)
        status: Status = "passed"
        message = ""
        given = None if check.params is None else self.params[check.params]
        cause = self._cause(check)
        if cause is not None:
            outcome = Outcome(check, "not run", f"`{cause.id}` failed")
            type(self)._done[check] = outcome
            return outcome
        try:
            with in_empty_folder(), time_limit(self._patience_s(), self.where(given)):
                self._call(check, given)
        except NotApplicable as reason:
            status, message = "not applicable", str(reason)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever an algorithm raises is what we want to tell
            failure = from_error(error, self.where(given))
            status, message = ("failed", str(failure)) if expected is None else ("expected", expected)
        if expected is not None and status == "passed":
            status = "failed"
            what = f"it passes, though it is expected to fail: {expected}"
            message = str(ContractError(what, where=self.where(given), fix="take it off `expected_failures`"))
        outcome = Outcome(check, status, message, time.perf_counter() - start)
        type(self)._done[check] = outcome
        return outcome

    def _cause(self, check: Check) -> Check | None:
        """An earlier check that failed, without which this one has nothing to say of its own."""
        names = [*self._names(), _FLOOR]
        before = names[: names.index(check.name)]
        for other, outcome in self._done.items():
            alike = other.params is None or other.params == (check.params or 0)
            if alike and other.name in self._needed and other.name in before and outcome.status == "failed":
                return other
        return None

    def _patience_s(self) -> float:
        """Limit of the next check: one that hangs in most of them is told in minutes, not in an hour."""
        hung = sum(outcome.seconds >= self.time_limit_s for outcome in self._done.values())
        return self.time_limit_s if hung < _HUNG_OFTEN else min(self.time_limit_s, _SHORT_LIMIT_S)

    def _call(self, check: Check, given: Mapping[str, Any] | None) -> None:
        if check.name == _FLOOR:
            self._enough_checks_ran()
        elif given is None:
            getattr(self, _PREFIX + check.name)()
        else:
            getattr(self, _PREFIX + check.name)(given)

    def _enough_checks_ran(self) -> None:
        others = [check for check in self.checks() if check.name != _FLOOR]
        missing = [check for check in others if check not in self._done]
        if missing:
            raise NotApplicable(f"{len(missing)} of {len(others)} checks were not asked for")
        ran = [check for check in others if self._done[check].status in ("passed", "failed")]
        if len(ran) < self.min_checks:
            raise ContractError(
                f"only {len(ran)} checks ran, a {self.kind} has to stand at least {self.min_checks}",
                where=self.where(),
                fix="take checks off `expected_failures`, or give `params` and `inputs` that more of them apply to",
            )

    @classmethod
    def done(cls) -> Mapping[Check, Outcome]:
        """Outcomes so far."""
        return vars(cls).get("_done", {})

    @classmethod
    def report(
        cls, tell: Callable[[Outcome], None] | None = None, late: Callable[[Check, float, float], None] | None = None
    ) -> Report:
        """Run all checks, without pytest.

        Parameters
        ----------
        tell : callable, optional
            Hears of each outcome.
        late : callable, optional
            ``late(check, seconds, limit_s)`` hears, from another thread, of each check that takes long while it runs.
        """
        self, outcomes = cls(), []
        for check in cls.checks():
            with overdue(_LATE_S, None if late is None else partial(late, check, _LATE_S, self._patience_s())):
                outcomes.append(self.perform(check))
            if tell is not None:
                tell(outcomes[-1])
        return Report(f"{cls.kind}/{cls.algorithm}", tuple(outcomes))

    def pytest_generate_tests(self, metafunc: Any) -> None:
        """Tell pytest of the checks: one test each."""
        if "check" in metafunc.fixturenames:
            checks = self.checks()
            metafunc.parametrize("check", checks, ids=[check.id for check in checks])

    def test(self, check: Check) -> None:
        """One check of the contract, as a test of pytest."""
        import pytest

        __tracebackhide__ = True
        outcome = self.perform(check)
        if outcome.status == "failed":
            pytest.fail(outcome.message, pytrace=False)
        if outcome.status == "expected":
            pytest.xfail(outcome.message)
        if outcome.status in ("not applicable", "not run"):
            pytest.skip(outcome.message)
