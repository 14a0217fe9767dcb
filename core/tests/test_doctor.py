"""Each way in which plugins go wrong is told with its cause and with what to do."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ronchi.catalog import PluginProblem
from ronchi.cli.main import main
from ronchi.doctor import diagnose, site_folders
from ronchi.errors import ConfigError

MakeDist = Callable[..., Path]
METRIC = "[ronchi.metrics]\n{name} = {module}\n"
SPEC = """
    from ronchi.api import AlgorithmSpec, Params, hookimpl

    class Score:
        pass

    @hookimpl
    def ronchi_metrics():
        return [AlgorithmSpec(name="NAME", summary="s", params=Params, factory=f"{__name__}:Score",
                              inputs={"result": "strain/1"}, output="scores/1"MORE)]
"""


def code_of(name: str, more: str = "") -> str:
    return SPEC.replace("NAME", name).replace("MORE", more)


def say(site: Path, dist: str, *lines: str) -> None:
    """Add lines to the metadata of a distribution."""
    with (site / f"{dist}-1.0.dist-info" / "METADATA").open("a") as file:
        file.writelines(f"{line}\n" for line in lines)


def the_one(problems: list[PluginProblem], dist: str) -> PluginProblem:
    (problem,) = [problem for problem in problems if dist in problem.dist.split(", ")]
    return problem


def test_good_plugins_are_no_problem(make_dist: MakeDist) -> None:
    site = make_dist("fine", METRIC.format(name="fine", module="fine"), code_of("fine"))
    say(site, "fine", "Requires-Dist: ronchi>=0.1", "Requires-Dist: unheard-of; extra == 'more'")
    assert diagnose() == []
    assert [problem.what for problem in diagnose([site])] == ["it needs ronchi>=0.1, which is not installed"]


def test_broken(make_dist: MakeDist) -> None:
    make_dist("sick", METRIC.format(name="sick", module="sick"), "raise RuntimeError('no licence')")
    problem = the_one(diagnose(), "sick")
    assert (problem.cause, problem.module, problem.what) == ("broken", "sick", "RuntimeError: no licence")
    assert "Traceback" in problem.traceback
    assert "ronchi doctor sick" in problem.fix


@pytest.mark.parametrize("field", ["factory", "trainer", "files"])
@pytest.mark.parametrize(
    ("place", "what", "fix"),
    [
        (
            "codeless.code:Scores",
            "codeless.code has no class or function 'Scores'",
            "did you mean 'codeless.code:Score'?",
        ),
        ("codeless.coda:Score", "No module named 'codeless.coda'", "did you mean 'codeless.code:Score'?"),
        ("codeless.lacks:Score", "No module named 'unheard_of'", "install what it lacks"),
        ("codeless.exits:Score", "SystemExit: no licence", "`ronchi doctor mine` shows where"),
        ("codeless.code", "not of the form 'module:attribute'", "upgrade, re-install or uninstall mine"),
    ],
    ids=["renamed", "misspelt", "lacking", "exits", "form"],
)
def test_code_that_cannot_be_imported(
    make_dist: MakeDist, capsys: pytest.CaptureFixture[str], field: str, place: str, what: str, fix: str
) -> None:
    code = code_of("mine", f", {field}={place!r}")
    if field == "factory":
        code = code.replace('factory=f"{__name__}:Score",', "")
    site = make_dist("mine", METRIC.format(name="mine", module="mine"), code)
    (site / "codeless").mkdir()
    modules = {
        "__init__": "",
        "code": "class Score: pass",
        "lacks": "\nimport unheard_of",
        "exits": "exit('no licence')",
    }
    for name, text in modules.items():
        (site / "codeless" / f"{name}.py").write_text(text)
    problem = the_one(diagnose(), "mine")
    assert (problem.cause, problem.module) == ("broken", place.partition(":")[0])
    assert f"the {field} {place!r} of the metric 'mine' cannot be imported" in problem.what
    assert what in problem.what
    assert fix in problem.fix
    assert main(["doctor", "mine"]) == 1
    shown = capsys.readouterr()
    assert what in shown.out
    if place == "codeless.lacks:Score":
        assert 'lacks.py", line 2, in <module>\n    import unheard_of\nModuleNotFoundError' in shown.err
        assert "importlib" not in shown.err
    for name in [name for name in sys.modules if name.startswith("codeless")]:
        del sys.modules[name]


def test_code_is_told_once_and_not_where_a_package_is_known_to_lack(make_dist: MakeDist) -> None:
    code = code_of("known").replace("]", ' for name in ("known", "new")]').replace('"known", summary', "name, summary")
    code = code.replace("{__name__}:Score", "nowhere:Nothing")
    points = METRIC.format(name="known", module="mine") + "new = mine\n"
    site = make_dist("mine", points, code)
    assert "the factory 'nowhere:Nothing' of the metric 'known'" in the_one(diagnose(), "mine").what
    say(site, "mine", "Requires-Dist: unheard-of>=2")
    assert the_one(diagnose(), "mine").what == "it needs unheard-of>=2, which is not installed"


@pytest.mark.parametrize(
    ("old", "new", "advice"),
    [
        ("@hookimpl\n", "\n", "is `@hookimpl` missing above ronchi_metrics() in mine?"),
        ("ronchi_metrics", "ronchi_readers", "mine has no function ronchi_metrics()"),
        ('name="mine"', 'name="yours"', "make entry-point name and spec name agree, it yields 'yours'"),
        ("return [", "return [][:0] and [", "ronchi_metrics() yields nothing"),
    ],
    ids=["mark", "kind", "name", "empty"],
)
def test_what_is_advertised_and_not_yielded(make_dist: MakeDist, old: str, new: str, advice: str) -> None:
    code = code_of("mine")
    assert old in code
    make_dist("mine", METRIC.format(name="mine", module="mine"), code.replace(old, new))
    told = [problem for problem in diagnose() if "does not yield it" in problem.what]
    assert [advice in problem.fix for problem in told] == [True], told


def test_an_algorithm_that_is_not_advertised(make_dist: MakeDist) -> None:
    code = (
        code_of("known")
        .replace("]", ' for name in ("known", "forgotten")]')
        .replace('"known", summary', "name, summary")
    )
    make_dist("forgetful", METRIC.format(name="known", module="forgetful"), code)
    problem = the_one(diagnose(), "forgetful")
    assert "yields the metric 'forgotten'" in problem.what
    assert 'project.entry-points."ronchi.metrics"' in problem.fix


def test_a_misspelt_hook_is_not_taken_for_one_of_another_version(make_dist: MakeDist) -> None:
    code = code_of("odd").replace("ronchi_metrics", "ronchi_metric")
    make_dist("odd", METRIC.format(name="odd", module="odd"), code)
    problem = the_one(diagnose(), "odd")
    assert problem.cause == "broken"
    assert "did you mean 'ronchi_metrics'?" in problem.fix


def test_missing_requirement(make_dist: MakeDist) -> None:
    site = make_dist("fine", METRIC.format(name="fine", module="fine"), code_of("fine"))
    say(site, "fine", "Requires-Dist: unheard-of>=2")
    problem = the_one(diagnose(), "fine")
    assert problem.cause == "broken"
    assert problem.what == "it needs unheard-of>=2, which is not installed"
    assert "pip install 'unheard-of>=2'" in problem.fix


def test_clash(make_dist: MakeDist) -> None:
    make_dist("onedist", METRIC.format(name="same", module="onedist"), code_of("same"))
    site = make_dist("twodist", METRIC.format(name="same", module="twodist"), code_of("same"))
    for problems in (diagnose(), diagnose([site])):
        problem = the_one(problems, "twodist")
        assert problem.cause == "clash"
        assert problem.what == "the metric 'same' comes from onedist and twodist"
        assert "`onedist:same` or `twodist:same`" in problem.fix


@pytest.mark.parametrize(
    ("code", "what"),
    [
        (code_of("other", ", api=2"), "made for version 2 of the plugin API, this is 1"),
        (code_of("other", ", dose_aware=True"), "unexpected keyword argument 'dose_aware'"),
        ("from ronchi.api import TiltSeries", "cannot import name 'TiltSeries' from 'ronchi.api'"),
        ("import ronchi.tilts", "No module named 'ronchi.tilts'"),
        ("from ronchi.api import hookimpl\n@hookimpl\ndef ronchi_tilts():\n    return []", "ronchi_tilts"),
    ],
    ids=["version", "field", "name", "module", "hook"],
)
def test_plugin_of_the_future(make_dist: MakeDist, code: str, what: str) -> None:
    site = make_dist("later", METRIC.format(name="other", module="later"), code)
    say(site, "later", "Requires-Dist: ronchi>=7,<8")
    told = [problem for problem in diagnose() if problem.dist == "later"]
    assert {problem.cause for problem in told} == {"incompatible"}
    required, loaded = told
    assert required.what == "it needs ronchi<8,>=7, and 0.1.0 is installed"
    assert what in loaded.what
    assert "upgrade ronchi" in loaded.fix or "later asks for ronchi>=7,<8, this is ronchi 0.1.0" in loaded.fix


def test_group_of_the_future_or_misspelt(make_dist: MakeDist) -> None:
    make_dist("later", "[ronchi.tilt_series]\ntilts = later\n")
    make_dist("misspelt", "[ronchi.disc_detectors]\ndisc = misspelt\n")
    problems = diagnose()
    assert "upgrade ronchi" in the_one(problems, "later").fix
    assert "did you mean 'ronchi.disk_detectors'?" in the_one(problems, "misspelt").fix
    assert {the_one(problems, dist).cause for dist in ("later", "misspelt")} == {"incompatible"}


@pytest.fixture
def in_place(make_dist: MakeDist, tmp_path: Path) -> Path:
    """Source folder of a distribution that is installed in place."""
    source = tmp_path / "source of it"
    source.mkdir()
    site = make_dist("mine", METRIC.format(name="mine", module="mine"), code_of("mine"))
    origin = {"url": source.as_uri(), "dir_info": {"editable": True}}
    (site / "mine-1.0.dist-info" / "direct_url.json").write_text(json.dumps(origin))
    return source


def test_stale_metadata_of_an_installation_in_place(in_place: Path) -> None:
    project = '[project]\nname = "mine"\n[project.entry-points."ronchi.metrics"]\n'
    (in_place / "pyproject.toml").write_text(project + 'mine = "mine"\n')
    assert diagnose() == []
    (in_place / "pyproject.toml").write_text(project + 'new = "mine"\n')
    problem = the_one(diagnose(), "mine")
    assert problem.cause == "stale"
    assert problem.what.endswith("the metadata lack metric new = mine and still have metric mine = mine")
    assert problem.fix == f"`pip install --no-deps -e {in_place}`"
    (in_place / "pyproject.toml").write_text('[project]\nname = "mine"\ndynamic = ["entry-points"]\n')
    assert diagnose() == [], "what a build script makes is not known"


def test_what_the_source_advertises_is_not_asked_for_again(make_dist: MakeDist, tmp_path: Path) -> None:
    code = code_of("known").replace("]", ' for name in ("known", "new")]').replace('"known", summary', "name, summary")
    site = make_dist("grown", METRIC.format(name="known", module="grown"), code)
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "grown"\n[project.entry-points."ronchi.metrics"]\nknown = "grown"\nnew = "grown"\n'
    )
    origin = {"url": tmp_path.as_uri(), "dir_info": {"editable": True}}
    (site / "grown-1.0.dist-info" / "direct_url.json").write_text(json.dumps(origin))
    problem = the_one(diagnose(), "grown")
    assert problem.cause == "stale"
    assert "the metadata lack metric new = grown" in problem.what


def test_source_of_an_installation_in_place_is_gone(in_place: Path) -> None:
    in_place.rmdir()
    problem = the_one(diagnose(), "mine")
    assert problem.cause == "stale"
    assert f"{in_place}, which is not there any more" in problem.what


def test_two_versions_side_by_side(make_dist: MakeDist) -> None:
    make_dist("left", METRIC.format(name="left", module="left"), code_of("left"))
    site = make_dist("left", METRIC.format(name="left", module="left"), version="0.9")
    for problems in (diagnose(), diagnose([site])):
        problem = the_one(problems, "left")
        assert problem.cause == "stale"
        assert f"versions 0.9 and 1.0 are recorded side by side in {site}" in problem.what


def test_malformed_metadata_name_their_owner(make_dist: MakeDist) -> None:
    make_dist("fine", METRIC.format(name="fine", module="fine"), code_of("fine"))
    make_dist("spoilt", "this is no ini file\n")
    problem = the_one(diagnose(), "spoilt")
    assert "entry_points.txt is malformed" in problem.what


def test_libraries_of_plugins_need_bring_no_algorithm(make_dist: MakeDist) -> None:
    site = make_dist("ronchi-common", "")
    assert "registers no algorithm" in the_one(diagnose(), "ronchi-common").what
    make_dist("fine", METRIC.format(name="fine", module="fine"), code_of("fine"))
    say(site, "fine", "Requires-Dist: ronchi-common")
    assert diagnose() == []


def test_another_environment_is_not_imported(make_dist: MakeDist, tmp_path: Path) -> None:
    environment = tmp_path / "there"
    site = environment / "lib" / "python3.11" / "site-packages"
    site.parent.mkdir(parents=True)
    make_dist("hollow", METRIC.format(name="hollow", module="hollow.plugin"), code_of("hollow"))
    make_dist("whole", METRIC.format(name="whole", module="whole.deep.plugin"))
    made = make_dist("sick", METRIC.format(name="sick", module="sick"), "raise RuntimeError('imported')")
    (made / "whole" / "deep").mkdir(parents=True)
    for module in ("whole/__init__", "whole/deep/__init__", "whole/deep/plugin"):
        (made / f"{module}.py").write_text("raise RuntimeError('imported')\n")
    made.rename(site)
    (problem,) = diagnose([environment])
    assert (problem.dist, problem.cause, problem.module) == ("hollow", "broken", "hollow.plugin")
    assert "in a module that is not there" in problem.what
    assert not {"sick", "whole"} & set(sys.modules)


def test_path_that_is_no_environment(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there are no installed distributions"):
        site_folders(tmp_path)
    with pytest.raises(ConfigError, match="there is no such folder"):
        diagnose([tmp_path / "none"])


def test_command(make_dist: MakeDist, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    make_dist("ok", METRIC.format(name="fine", module="ok"), code_of("fine"))
    make_dist("sick", METRIC.format(name="ill", module="sick"), "raise RuntimeError('no licence')")
    monkeypatch.setenv("RONCHI_DISABLE_PLUGINS", "unwanted")
    monkeypatch.setenv("RONCHI_STRICT", "1")  # all problems are listed all the same
    assert main(["doctor"]) == 1
    shown = capsys.readouterr().out
    assert "broken: sick (sick): RuntimeError: no licence\n  -> `ronchi doctor sick`" in shown
    assert "RONCHI_DISABLE_PLUGINS=unwanted is set" in shown
    for name in ("sick", "ill", "sick:ill"):
        assert main(["doctor", name]) == 1
        assert "Traceback" in capsys.readouterr().err
    for name in ("ok", "fine"):
        assert main(["doctor", name]) == 0
        assert "no problem found" in capsys.readouterr().out
    assert main(["doctor", "--json", "ill"]) == 1
    assert [problem["cause"] for problem in json.loads(capsys.readouterr().out)] == ["broken"]
    assert main(["doctor", "unheard-of"]) == 2
    assert "neither a distribution nor an algorithm" in capsys.readouterr().err
