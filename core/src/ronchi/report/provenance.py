"""The end of a report: the configuration, what computed it, and what to cite."""

from __future__ import annotations

import hashlib
import json

import yaml

from ronchi.pipeline.result import RunResult
from ronchi.report.elements import Section, citation, code, paragraph, table

__all__ = ["config_hash", "provenance_section"]


def config_hash(result: RunResult) -> str:
    """sha256 in hex of the configuration after defaults and overrides."""
    text = json.dumps(result.config, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def provenance_section(result: RunResult) -> Section:
    """Pipeline, versions, keys, citations, outputs."""
    full = yaml.safe_dump(json.loads(json.dumps(dict(result.config), default=str)), sort_keys=False, allow_unicode=True)
    body = "<h3>Pipeline</h3>" + code(result.source or full)
    if result.source:
        body += code(full, "with all defaults")
    body += paragraph(f"Seed {result.seed}; sha256 of the configuration {config_hash(result)}.")
    body += "<h3>Versions</h3>" + table(
        ("distribution", "version"), sorted(result.versions.items()), "What computed this"
    )
    keys = [(name, step.key or "—") for name, step in result.steps.items()]
    body += "<h3>Keys</h3>" + table(("step", "key"), keys, "Content addresses of the results (sha256)")
    cited = sorted({step.citation for step in result.steps.values() if step.citation})
    if cited:
        body += "<h3>Please cite</h3><ul>" + "".join(f"<li>{citation(text)}</li>" for text in cited) + "</ul>"
    if result.outputs:
        files = [(name, path.name) for name, path in result.outputs.items()]
        body += "<h3>Files</h3>" + table(("output", "file"), files, "Written beside this report")
    return Section("Provenance", body)
