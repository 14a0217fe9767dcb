"""Whether the parts of a benchmark file fit together, once each has the right form."""

from __future__ import annotations

from collections.abc import Mapping

from ronchi.benchmark.model import Comparison, Protocol, Slot
from ronchi.benchmark.table import COSTS
from ronchi.config.source import FieldPath, Source, did_you_mean

__all__ = ["check_meaning"]


def check_meaning(source: Source, protocol: Protocol, compare: Comparison | None, slots: Mapping[str, Slot]) -> None:
    """Note what contradicts itself, or names what is not there."""
    if protocol.timings and protocol.jobs > 1:
        source.fault(("protocol", "jobs"), "combinations side by side slow each other down", "jobs: 1, or timings: 0")
    if not any(slot.kind == "metric" for slot in slots.values()) and slots and not protocol.timings:
        fix = "add a metric step, or `protocol: {timings: 5}`; without a truth, one pipeline tells where two differ"
        source.fault(("steps",), "there is no metric, and no time is measured", fix)
    _check_tuning(source, protocol, compare, slots)
    for entry, key in [(entry, key) for slot in slots.values() for entry in slot.entries for key in slot.vary]:
        for section, keys in (("params", entry.params), ("tune", entry.space)):
            if key in keys:
                source.fault((*entry.place, section, key), "varies for all entries", "leave out one of them", key=True)
    if compare is None:
        if protocol.timings:
            source.fault(("protocol", "timings"), "which step is to be timed?", "compare: {slot: STEP}")
        return
    for number, figure in enumerate(compare.figures):
        if figure not in COSTS:
            _check_figure(source, ("compare", "figures", number), figure, slots)
    compared = slots.get(compare.slot)
    if compared is None:
        source.fault(("compare", "slot"), f"there is no step {compare.slot!r}", did_you_mean(compare.slot, slots))
        return
    labels = [entry.label for entry in compared.entries]
    baseline = compare.baseline
    if baseline is not None and baseline not in labels:
        source.fault(
            ("compare", "baseline"), f"{compared.step!r} has no entry {baseline!r}", did_you_mean(baseline, labels)
        )


def _check_tuning(source: Source, protocol: Protocol, compare: Comparison | None, slots: Mapping[str, Slot]) -> None:
    tuned = [(slot, entry) for slot in slots.values() for entry in slot.entries if entry.space]
    compared = compare.slot if compare else None
    for slot, entry in tuned:
        if protocol.tuning is None:
            fix = "protocol: {tuning: {trials: 50, figure: STEP.FIGURE}}"
            source.fault((*entry.place, "tune"), "nothing says how it is tuned", fix, key=True)
        elif slot.step != compared:
            source.fault((*entry.place, "tune"), "only entries of the compared step are tuned", key=True)
    if protocol.tuning is None:
        return
    _check_figure(source, ("protocol", "tuning", "figure"), protocol.tuning.figure, slots)
    if not tuned:
        fix = "an entry with tune: {PARAMETER: {low: 0, high: 1}}"
        source.fault(("protocol", "tuning"), "no entry has a space to be searched", fix)


def _check_figure(source: Source, at: FieldPath, figure: str, slots: Mapping[str, Slot]) -> None:
    """Check whose figure it is; which figures a metric gives shows only once it has run."""
    step = figure.partition(".")[0]
    metrics = [name for name, slot in slots.items() if slot.kind == "metric"]
    if step not in metrics:
        fix = did_you_mean(step, metrics, f"STEP.FIGURE, where STEP is one of: {', '.join(metrics) or 'none'}")
        source.fault(at, f"{step!r} is no metric step", fix)
