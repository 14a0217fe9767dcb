"""The frame of every report: one page of HTML with its style, and with nothing fetched."""

from __future__ import annotations

import html
import logging
from collections.abc import Callable, Iterable
from string import Template

from ronchi.report.elements import Section, anchor, messages

__all__ = ["guarded", "render_page"]

_log = logging.getLogger("ronchi.report")

_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>$title</title>
<style>
:root { --ink: #1c1c1e; --paper: #ffffff; --soft: #f2f2f4; --line: #d4d4d8; --faint: #5d5d66; --link: #0b5cad;
  --warn: #fff4d6; --warn-line: #b37400; --bad: #fde8e6; --bad-line: #b3261e; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #ececf0; --paper: #17171a; --soft: #232328; --line: #3d3d45; --faint: #a6a6b0; --link: #7db8f5;
    --warn: #3a2e0e; --warn-line: #d9a02b; --bad: #3d1a18; --bad-line: #e8756c; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem 1.25rem 3rem; max-width: 68rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
h1 { margin: 0.5rem 0 0; font-size: 1.9rem; line-height: 1.2; }
h2 { margin: 2.5rem 0 0.75rem; padding-bottom: 0.25rem; border-bottom: 1px solid var(--line); font-size: 1.35rem; }
h3 { margin: 1.5rem 0 0.5rem; font-size: 1.05rem; }
a { color: var(--link); }
nav { margin: 0.75rem 0; } nav a { display: inline-block; margin-right: 1rem; }
.state { color: var(--faint); }
figure { margin: 1.25rem 0; break-inside: avoid; }
figure img { display: block; max-width: 100%; height: auto; margin: 0 auto; padding: 0.5rem; background: #fff;
  border: 1px solid var(--line); border-radius: 6px; }
figure img[hidden] { display: none; }
.stepped p { display: flex; gap: 0.75rem; align-items: center; margin: 0.5rem auto; max-width: 40rem; }
.stepped input { flex: 1; } .stepped output { min-width: 6rem; font-variant-numeric: tabular-nums; }
figcaption { margin-top: 0.4rem; color: var(--faint); font-size: 0.9rem; text-align: center; }
.wide { overflow-x: auto; margin: 1rem 0; }
table { min-width: min(100%, 36rem); border-collapse: collapse; font-size: 0.92rem;
  font-variant-numeric: tabular-nums; }
caption { padding-bottom: 0.3rem; color: var(--faint); text-align: left; }
th, td { padding: 0.25rem 0.8rem 0.25rem 0; border-bottom: 1px solid var(--line); text-align: left;
  vertical-align: top; }
tbody th { font-weight: 600; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; padding: 0.8rem 1rem; background: var(--soft); border-radius: 6px;
  font-size: 0.85rem; }
.key { display: flex; flex-wrap: wrap; gap: 0.6rem; margin: 1rem 0; }
.key div { padding: 0.5rem 0.9rem; background: var(--soft); border-radius: 6px; }
.key dt { color: var(--faint); font-size: 0.82rem; } .key dd { margin: 0; font-size: 1.25rem; font-weight: 600; }
.warning, .error { margin: 1rem 0; padding: 0.6rem 1rem; border-left: 4px solid; border-radius: 4px;
  white-space: pre-line; }
.warning { background: var(--warn); border-color: var(--warn-line); }
.error { background: var(--bad); border-color: var(--bad-line); }
.warning ul, .error ul { margin: 0.2rem 0 0; padding-left: 1.2rem; }
footer { margin-top: 3rem; padding-top: 0.75rem; border-top: 1px solid var(--line); color: var(--faint);
  font-size: 0.85rem; overflow-wrap: anywhere; }
@media print {
  :root { --ink: #000; --paper: #fff; --soft: #f4f4f4; --line: #bbb; --faint: #444; --link: #000;
    --warn: #fff; --bad: #fff; }
  body { max-width: none; font-size: 11pt; } nav { display: none; } h2 { break-after: avoid; } }
</style>
</head>
<body>
<header><h1>$title</h1><p class="state">$state</p></header>
<nav aria-label="Sections">$links</nav>
<main>
$sections
</main>
<footer>$footer</footer>
</body>
</html>
""")


def render_page(title: str, state: str, sections: Iterable[Section], footer: str) -> str:
    """Put sections into a page; titles of the same name get anchors of their own.

    Parameters
    ----------
    title, state, footer : str
        Plain text; ``state`` is the line under the title.
    sections : iterable of Section
    """
    names: dict[str, int] = {}
    links, parts = [], []
    for section in sections:
        name = anchor(section.title)
        names[name] = names.get(name, 0) + 1
        identifier = name if names[name] == 1 else f"{name}-{names[name]}"
        text = html.escape(section.title)
        links.append(f'<a href="#{identifier}">{text}</a>')
        parts.append(
            f'<section aria-labelledby="{identifier}"><h2 id="{identifier}">{text}</h2>{section.body}</section>'
        )
    return _PAGE.substitute(
        title=html.escape(title),
        state=html.escape(state),
        links="".join(links),
        sections="\n".join(parts),
        footer=html.escape(footer),
    )


def guarded(title: str, make: Callable[[], Section]) -> Section:
    """Make a section; if that fails, one that says so: the others still count."""
    try:
        return make()
    except OSError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, it costs this section alone
        _log.exception("section %s", title)
        return Section(title, messages([f"This section could not be made: {type(error).__name__}: {error}"], "error"))
