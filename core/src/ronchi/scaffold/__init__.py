"""Plugins to start from: one for each kind of algorithm, which passes the conformance kit as it is."""

from __future__ import annotations

from ronchi.scaffold.plugins import TEMPLATES, PluginTemplate, write_plugin

__all__ = ["TEMPLATES", "PluginTemplate", "write_plugin"]
