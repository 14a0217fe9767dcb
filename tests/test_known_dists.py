"""What is told about an algorithm that is not installed: the distribution to install, for every one of the project."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from ronchi.catalog import GROUPS, Catalog, Entry
from ronchi.errors import PluginError
from ronchi.manager import KNOWN_DISTS, Manager

ROOT = Path(__file__).resolve().parents[1]


def advertised() -> dict[tuple[str, str], str]:
    """Kind and name of what the plugins of the project advertise, to the distribution."""
    found = {}
    for path in sorted(ROOT.glob("plugins/*/pyproject.toml")):
        project = tomllib.loads(path.read_text(encoding="utf-8"))["project"]
        for group, points in project.get("entry-points", {}).items():
            found |= {(GROUPS[group], name): project["name"] for name in points}
    return found


def test_all_that_is_advertised_is_known_and_nothing_else() -> None:
    assert advertised() == KNOWN_DISTS


def test_all_that_hooks_yield_is_known() -> None:
    manager = Manager(strict=False)
    manager.load_all()
    yielded = {(kind, name): dist for kind, name, dist in manager.yielded if dist in KNOWN_DISTS.values()}
    if not yielded:
        pytest.skip("no plugin of the project is installed: `pip install -r requirements.txt` to run this test")
    assert yielded.items() <= KNOWN_DISTS.items()


@pytest.mark.parametrize(("kind", "name"), [pytest.param(*each, id="-".join(each)) for each in sorted(advertised())])
def test_one_that_is_missing_says_what_brings_it(kind: str, name: str) -> None:
    with pytest.raises(PluginError) as caught:
        Manager(Catalog(())).spec(kind, name)
    assert caught.value.fix == f"`pip install {advertised()[kind, name]}` brings it"


@pytest.mark.parametrize(
    "there",
    [Entry("disk_detector", "py4dstem", "ronchi-peers", "0", "m"), Entry("reader", "py4dstems", "other", "0", "m")],
    ids=["another-kind", "alike"],
)
def test_what_is_installed_does_not_hide_it(there: Entry) -> None:
    with pytest.raises(PluginError, match="`pip install ronchi-rosettasciio` brings it"):
        Manager(Catalog((there,))).spec("reader", "py4dstem")


def test_a_name_is_known_for_its_kind_alone() -> None:
    with pytest.raises(PluginError) as caught:
        Manager(Catalog(())).spec("writer", "lattice")
    assert "ronchi-lattice" not in caught.value.fix
