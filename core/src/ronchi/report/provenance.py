"""The end of a report: the configuration, what computed it, and what to cite."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import yaml

from ronchi.report.elements import Section, citation, code, paragraph, table
from ronchi.result import RunResult

__all__ = ["config_hash", "provenance_section"]


def config_hash(result: RunResult) -> str:
    """sha256 in hex of the configuration after defaults and overrides."""
    text = json.dumps(result.config, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def provenance_section(result: RunResult) -> Section:
    """Pipeline, versions, keys, citations, outputs."""
    full = _yaml(_with_all_params(result))
    body = "<h3>Pipeline</h3>" + (
        code(result.source) + code(full, "With all parameters") if result.source else code(full)
    )
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


def _with_all_params(result: RunResult) -> dict[str, Any]:
    """The configuration with the parameters of each step after defaults."""
    written = result.config.get("steps", {})
    steps = {name: {**written.get(name, {}), "params": dict(step.params)} for name, step in result.steps.items()}
    return {**result.config, "steps": steps}


def _yaml(config: dict[str, Any]) -> str:
    plain = json.loads(json.dumps(config, default=str))
    text: str = yaml.safe_dump(plain, sort_keys=False, allow_unicode=True)
    return text
