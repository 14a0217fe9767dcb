"""Weights from a registry: asked for, checked, kept, and never in the way of those that are shipped."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch

from ronchi.api import ConfigError, DataError
from ronchi_fcunet import registry, release
from ronchi_fcunet.__main__ import main
from ronchi_fcunet.cards import markdown
from ronchi_fcunet.compact import CompactDetector
from ronchi_fcunet.fetch import fetch, offered
from ronchi_fcunet.weights import load_weights, save_weights

CARD = {
    "threshold": 0.4, "sigma_px": 0.3, "training": {"steps": 3}, "step": 3, "seconds": 9, "device": "cpu",
    "processes": 1, "started_from": None, "curve": [{"step": 3.0, "loss": 0.5, "z": None}],
    "data": {"library": "abc", "samples": 8, "prototypes": 2, "held_out_prototypes": ["P2"]},
}  # fmt: skip
NOTES = {
    "summary": "A network for tests.",
    "commit": "0" * 40,
    "licence": "BSD-3-Clause",
    "figures": {"equation (1), unseen crystals": 0.5},
    "known_failures": ["Everything but tests."],
}


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: Any) -> None: ...


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """What a training leaves."""
    torch.manual_seed(3)
    path = tmp_path / "trained.safetensors"
    save_weights(path, CompactDetector((4, 8), attention=0), CARD)
    return path


@pytest.fixture
def published(tmp_path: Path, trained: Path) -> Path:
    """A registry with two versions; the newer one has other weights."""
    folder = tmp_path / "published"
    release.release(trained, "compact", "1.0", NOTES, folder)
    save_weights(trained, CompactDetector((4, 8), attention=0), CARD)
    release.release(trained, "compact", "1.1", NOTES, folder)
    return folder


@pytest.fixture
def url(published: Path) -> Iterator[str]:
    """Its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(published)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the user's cache nor a proxy has a say."""
    monkeypatch.setenv("RONCHI_WEIGHTS_FOLDER", str(tmp_path / "fetched"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("RONCHI_WEIGHTS_URL", raising=False)


def _sha256(folder: Path, which: str) -> str:
    entry = registry.select(registry.read_index(folder), which)
    assert entry is not None
    return entry.sha256


def test_nothing_is_fetched_unless_asked_for(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RONCHI_WEIGHTS_URL", url)
    with pytest.raises(DataError, match=r"fetch compact@1\.0"):
        load_weights("compact@1.0")


def test_the_newest_version_and_an_archived_one_are_fetched_and_stay(url: str, published: Path) -> None:
    assert [entry.full_name for entry in offered(url)] == ["compact@1.1", "compact@1.0"]
    assert fetch("compact", url)[1].version == "1.1"
    assert fetch("compact@1.0", url)[1].version == "1.0"
    for version in ("1.0", "1.1"):
        assert load_weights(f"compact@{version}").sha256 == _sha256(published, f"compact@{version}")
    assert fetch("compact@1.0", url)[0].exists()


def test_the_newest_version_is_the_highest_one_and_not_the_one_fetched_last(url: str, published: Path) -> None:
    path = published / "weights.json"
    index = json.loads(path.read_text())
    index["weights"] = [{**each, "name": "mine"} for each in index["weights"]]
    path.write_text(json.dumps(index))
    newest, older = (_sha256(published, f"mine@{version}") for version in ("1.1", "1.0"))
    assert fetch("mine", url)[1].version == "1.1"
    assert fetch("mine@1.0", url)[1].version == "1.0"
    assert newest != older
    assert load_weights("mine").sha256 == newest
    assert load_weights("mine@1.0").sha256 == older


def test_versions_are_compared_as_numbers() -> None:
    ascending = ["0.9", "1.0a2", "1.0rc1", "1.0", "1.0.1", "1.9", "1.10", "2", "10.0"]
    entries = [registry.Entry("mine", version, "a.safetensors", "0" * 64, "") for version in ascending]
    for count in range(1, len(entries) + 1):
        for some in (entries[:count], entries[:count][::-1]):
            newest = registry.select([*some, registry.Entry("other", "99", "a.safetensors", "0" * 64, "")], "mine")
            assert newest is not None
            assert newest.version == ascending[count - 1]


def test_what_is_shipped_stays_the_default(
    url: str, tmp_path: Path, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = tmp_path / "shipped"
    save_weights(trained, CompactDetector((4, 8), attention=0), CARD)
    release.release(trained, "compact", "0.9", NOTES, shipped)
    monkeypatch.setattr(registry, "shipped_folder", lambda: shipped)
    fetch("compact", url)
    assert load_weights("compact").sha256 == _sha256(shipped, "compact@0.9")
    assert load_weights("compact@1.1").sha256 != load_weights("compact").sha256


def test_a_file_that_is_not_the_described_one_is_refused(url: str, published: Path) -> None:
    path = published / "compact-1.1.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x07")
    with pytest.raises(DataError, match="sha256 differs"):
        fetch("compact", url)
    with pytest.raises(DataError, match="no weights are called"):
        load_weights("compact@1.1")


def test_a_fetched_file_that_was_changed_is_refused(url: str) -> None:
    path, _ = fetch("compact@1.0", url)
    path.write_bytes(path.read_bytes()[:-1] + b"\x07")
    with pytest.raises(DataError, match="sha256 differs"):
        load_weights("compact@1.0")


def test_a_published_version_that_changes_is_refused(url: str, published: Path, trained: Path) -> None:
    fetch("compact@1.0", url)
    index = json.loads((published / "weights.json").read_text())
    index["weights"][1]["sha256"] = index["weights"][0]["sha256"]
    (published / "weights.json").write_text(json.dumps(index))
    with pytest.raises(DataError, match="not what was fetched before"):
        fetch("compact@1.0", url)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"file": "../../etc/x.safetensors"}, "wrong in file"),
        ({"sha256": "0"}, "wrong in sha256"),
        ({"more": 1}, "wrong in more"),
        ({"name": None}, "wrong in name"),
    ],
)
def test_an_index_that_reaches_elsewhere_or_is_wrong_is_refused(
    url: str, published: Path, change: dict[str, Any], match: str
) -> None:
    index = json.loads((published / "weights.json").read_text())
    index["weights"][0] |= change
    (published / "weights.json").write_text(json.dumps(index))
    with pytest.raises(DataError, match=match):
        fetch("compact", url)


def test_what_cannot_be_reached_is_told(url: str, published: Path) -> None:
    with pytest.raises(ConfigError, match="no registry of weights is given"):
        fetch("compact")
    with pytest.raises(ConfigError, match="begins with https"):
        fetch("compact", "file:///tmp")
    with pytest.raises(DataError, match=r"it has compact@1\.1, compact@1\.0"):
        fetch("compact@7", url)
    with pytest.raises(DataError, match="cannot be fetched"):
        fetch("compact", url + "elsewhere")
    with pytest.raises(DataError, match="cannot be fetched"):
        fetch("compact", "http://127.0.0.1:9")
    (published / "weights.json").write_text("<html>")
    with pytest.raises(DataError, match=rf"^{url}weights\.json: .* cannot be read"):
        fetch("compact", url)
    (published / "weights.json").write_text("[]")
    with pytest.raises(DataError, match="not an index"):
        fetch("compact", url)


def test_a_release_has_its_whole_card(published: Path) -> None:
    page = (published / "compact-1.1.md").read_text()
    for text in (
        "compact@1.1",
        "A network for tests.",
        "Everything but tests.",
        "P2",
        "0.5",
        _sha256(published, "compact"),
    ):
        assert text in page
    assert load_weights(published / "compact-1.1.safetensors").card["known_failures"] == ["Everything but tests."]


def test_the_page_has_the_figures_of_the_weights_that_are_left() -> None:
    curve = [{"step": 4.0, "loss": 0.25}, {"step": 8.0, "loss": 0.75}]
    card = {**CARD, **NOTES, "kind": "compact", "settings": {}, "curve": curve}
    pages = [markdown({**card, **kept}, "mine@1", "0" * 64) for kept in ({}, {"kept_step": 4})]
    assert ["| loss | 0.25 |" in page for page in pages] == [False, True]
    assert ["| loss | 0.75 |" in page for page in pages] == [True, False]


@pytest.mark.parametrize("missing", list(NOTES))
def test_a_release_without_its_card_is_refused(trained: Path, tmp_path: Path, missing: str) -> None:
    notes = {name: value for name, value in NOTES.items() if name != missing}
    with pytest.raises(DataError, match=missing):
        release.release(trained, "compact", "1.0", notes, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_releases_neither_change_nor_grow_too_large(
    published: Path, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DataError, match=r"compact@1\.0 is published"):
        release.release(trained, "compact", "1.0", NOTES, published)
    with pytest.raises(DataError, match="wrong in version"):
        release.release(trained, "compact", "1/0", NOTES, published)
    monkeypatch.setattr(release, "MOST_BYTES", 100)
    with pytest.raises(DataError, match="more than"):
        release.release(trained, "compact", "2.0", NOTES, published)


def test_the_shipped_registry_can_be_read_and_its_files_are_right() -> None:
    for entry in registry.read_index(registry.shipped_folder()):
        assert load_weights(entry.full_name).sha256 == entry.sha256
        assert (registry.shipped_folder() / entry.file).stat().st_size <= release.MOST_BYTES


def test_a_file_that_cannot_be_written_is_told(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("ronchi_fcunet.export.export_onnx", lambda loaded, shape, path: path.write_bytes(b""))
    assert main(["export", str(trained), "8", "8", "-o", str(tmp_path / "none" / "net.onnx")]) == 1
    assert "No such file or directory" in capsys.readouterr().err


def test_commands(url: str, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fetch", "compact", "--url", url]) == 0
    assert main(["list"]) == 0
    assert "compact@1.1" in capsys.readouterr().out
    assert main(["show", "compact@1.1"]) == 0
    assert json.loads(capsys.readouterr().out)["licence"] == "BSD-3-Clause"
    (tmp_path / "notes.json").write_text(json.dumps(NOTES))
    notes, folder = str(tmp_path / "notes.json"), str(tmp_path / "new")
    assert main(["release", str(trained), "mine", "1", "--notes", notes, "-o", folder]) == 0
    assert main(["show", "nothing"]) == 1
    assert "no weights are called" in capsys.readouterr().err
