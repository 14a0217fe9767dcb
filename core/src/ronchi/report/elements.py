"""Pieces of HTML; every text that goes in is escaped here and nowhere else."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Section", "anchor", "citation", "code", "figure", "key_figures", "messages", "paragraph", "slider", "table"]

_DOI = re.compile(r"(?:https?://(?:dx\.)?doi\.org/|doi:\s*)(10\.\d{4,9}/[^\s,;<>\"]*[^\s,;<>\".)])", re.IGNORECASE)


@dataclass(frozen=True)
class Section:
    """A part of the report with its heading; ``body`` is HTML."""

    title: str
    body: str


def anchor(title: str) -> str:
    """Identifier of a section, made of its title."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") or "section"


def paragraph(text: str) -> str:
    """One paragraph of plain text."""
    return f"<p>{html.escape(text)}</p>"


def code(text: str, summary: str = "") -> str:
    """Text as it is; folded away behind ``summary`` where there is one."""
    block = f"<pre>{html.escape(text)}</pre>"
    return f"<details><summary>{html.escape(summary)}</summary>{block}</details>" if summary else block


def table(header: Sequence[str], rows: Iterable[Sequence[Any]], caption: str) -> str:
    """A table whose first column names the rows."""
    head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in header)
    lines = []
    for first, *others in rows:
        cells = "".join(f"<td>{html.escape(str(cell))}</td>" for cell in others)
        lines.append(f'<tr><th scope="row">{html.escape(str(first))}</th>{cells}</tr>')
    return (
        f'<div class="wide"><table><caption>{html.escape(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
    )


def key_figures(figures: Iterable[tuple[str, str]]) -> str:
    """Numbers that matter, in large type, each under its name."""
    cards = "".join(f"<div><dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd></div>" for name, value in figures)
    return f'<dl class="key">{cards}</dl>'


def messages(texts: Iterable[str], kind: str = "warning") -> str:
    """A box of messages; ``kind`` is ``"warning"`` or ``"error"``."""
    items = "".join(f"<li>{html.escape(text)}</li>" for text in texts)
    return (
        f'<div class="{kind}" role="note"><strong>{kind.capitalize()}</strong><ul>{items}</ul></div>' if items else ""
    )


def figure(png: bytes, alt: str, caption: str) -> str:
    """An image that travels inside the file."""
    data = base64.b64encode(png).decode("ascii")
    return (
        f'<figure><img src="data:image/png;base64,{data}" alt="{html.escape(alt)}">'
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
    )


def slider(pictures: Sequence[bytes], labels: Sequence[str], legend: bytes, alt: str, caption: str) -> str:
    """JPEG pictures of one size, of which a slider shows one; the only script of a page stands in its attribute.

    Parameters
    ----------
    pictures : sequence of bytes
    labels : sequence of str
        What is shown beside the slider for each picture.
    legend : bytes
        PNG below them.
    alt, caption : str
    """
    frames = "".join(
        f'<img src="data:image/jpeg;base64,{base64.b64encode(picture).decode("ascii")}" '
        f'alt="{html.escape(f"{alt}: {label}")}"{"" if number == 0 else " hidden"}>'
        for number, (picture, label) in enumerate(zip(pictures, labels, strict=True))
    )
    show = (
        "const f=this.closest('figure'),n=+this.value,m=f.querySelectorAll('.film img');"
        "m.forEach((e,i)=>{e.hidden=i!==n});f.querySelector('output').value=m[n].alt.split(': ').pop()"
    )
    bar = base64.b64encode(legend).decode("ascii")
    return (
        f'<figure class="stepped"><div class="film">{frames}</div>'
        f'<p><input type="range" min="0" max="{len(pictures) - 1}" value="0" aria-label="{html.escape(alt)}" '
        f'oninput="{html.escape(show)}"> <output>{html.escape(labels[0])}</output></p>'
        f'<img src="data:image/png;base64,{bar}" alt="Colour bars">'
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
    )


def citation(text: str) -> str:
    """A citation with its DOI as a link."""
    parts, end = [], 0
    for match in _DOI.finditer(text):
        doi = html.escape(match[1])
        parts += [html.escape(text[end : match.start()]), f'<a href="https://doi.org/{doi}">doi:{doi}</a>']
        end = match.end()
    return "".join([*parts, html.escape(text[end:])])
