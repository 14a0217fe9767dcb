"""The manager loads plugins one by one; each fault has a message that says what and what to do."""

from __future__ import annotations

import pytest

from ronchi.catalog import scan
from ronchi.errors import ConfigError, PluginError
from ronchi.manager import Manager

GOOD = """
    from ronchi.api import AlgorithmSpec, Field, Params, hookimpl

    class P(Params):
        sigma_px: float = Field(2.0, gt=0, description="Blur.", json_schema_extra={"unit": "px"})

    class Algo:
        def __init__(self, params):
            self.params = params
        def score(self, result, truth, ctx):
            return {"sigma": self.params.sigma_px}

    @hookimpl
    def ronchi_metrics():
        return [AlgorithmSpec(name="NAME", summary="s", params=P, factory=f"{__name__}:Algo",
                              inputs={"result": "strain/1"}, output="scores/1")]
"""
ENTRY = "[ronchi.metrics]\nNAME = DIST\n"


def install(make_dist, name, dist, code=GOOD):
    return make_dist(dist, ENTRY.replace("NAME", name).replace("DIST", dist), code.replace("NAME", name))


def test_creates_by_name_and_checks_parameters(make_dist):
    manager = Manager(scan([install(make_dist, "good", "gooddist")]))
    assert manager.create("metric", "good", {"sigma_px": 3}).score(None, None, None) == {"sigma": 3.0}
    with pytest.raises(ConfigError, match=r"sigma: unknown key[\s\S]*did you mean 'sigma_px'"):
        manager.create("metric", "good", {"sigma": 3})
    with pytest.raises(ConfigError, match=r"sigma_px: must be greater than 0 \(got -1\)"):
        manager.create("metric", "good", {"sigma_px": -1})


def test_unknown_name_suggests(make_dist):
    manager = Manager(scan([install(make_dist, "good", "gooddist")]))
    with pytest.raises(PluginError, match="did you mean 'good'"):
        manager.spec("metric", "goood")
    with pytest.raises(PluginError, match="pip install ronchi-fcunet"):
        manager.spec("disk_detector", "fcunet")
    with pytest.raises(PluginError, match="write `metric: good`"):
        manager.spec("reader", "good")


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("raise RuntimeError('no licence')", "RuntimeError: no licence"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("import no_such_module_at_all", "ModuleNotFoundError"),
        ("from ronchi.api import hookimpl\n@hookimpl\ndef ronchi_metrix():\n    return []", "ronchi_metrix"),
        ("from ronchi.api import hookimpl\n@hookimpl\ndef ronchi_metrics():\n    return ['x']", "yielded str"),
        ("from ronchi.api import hookimpl\n@hookimpl\ndef ronchi_metrics():\n    return 1 / 0", "ZeroDivisionError"),
    ],
)
def test_broken_plugin_stops_only_what_uses_it(make_dist, code, message):
    install(make_dist, "good", "gooddist")
    site = make_dist("brokendist", "[ronchi.metrics]\nbroken = brokendist\n", code)
    manager = Manager(scan([site]))
    assert manager.spec("metric", "good").name == "good"
    assert manager.problems == []
    with pytest.raises(PluginError, match=message):
        manager.spec("metric", "broken")
    manager.load_all()
    (problem,) = manager.problems
    assert problem.dist == "brokendist"
    assert "Traceback" in problem.traceback
    assert [spec.name for spec in manager.specs("metric")] == ["good"]


def test_clash_is_an_error_that_names_both(make_dist):
    install(make_dist, "same", "onedist")
    manager = Manager(scan([install(make_dist, "same", "twodist")]))
    with pytest.raises(PluginError, match=r"onedist:same, twodist:same"):
        manager.spec("metric", "same")
    assert manager.dist("metric", "twodist:same")[0] == "twodist"
    assert manager.create("metric", "onedist:same").score(None, None, None) == {"sigma": 2.0}


def test_hook_and_metadata_must_agree(make_dist):
    site = make_dist("liar", "[ronchi.metrics]\npromised = liar\n", GOOD.replace("NAME", "other"))
    with pytest.raises(PluginError, match="does not yield it"):
        Manager(scan([site])).spec("metric", "promised")


@pytest.mark.parametrize(("api", "advice"), [(2, "upgrade ronchi"), (0, "upgrade liar")])
def test_other_api_version_is_refused(make_dist, api, advice):
    code = GOOD.replace("NAME", "timed").replace('output="scores/1"', f'output="scores/1", api={api}')
    site = make_dist("liar", "[ronchi.metrics]\ntimed = liar\n", code)
    with pytest.raises(PluginError, match=advice):
        Manager(scan([site])).spec("metric", "timed")


def test_missing_factory_is_told_at_creation(make_dist):
    site = install(make_dist, "hollow", "hollowdist", GOOD.replace(":Algo", ":Nothing"))
    with pytest.raises(PluginError, match="cannot be imported"):
        Manager(scan([site])).create("metric", "hollow")


def test_allow_list(make_dist):
    site = install(make_dist, "good", "gooddist")
    with pytest.raises(PluginError, match="allow-list"):
        Manager(scan([site]), allow={"other"}).spec("metric", "good")
    assert Manager(scan([site]), allow={"good"}).spec("metric", "good").name == "good"


def test_observer_faults_do_not_stop_a_run(make_dist, caplog):
    code = """
        from ronchi.api import hookimpl
        seen = []
        @hookimpl
        def ronchi_run_started(run):
            seen.append(run)
            raise ValueError("observer is ill")
    """
    site = make_dist("watcher", "[ronchi.observers]\nwatcher = watcher\n", code)
    manager = Manager(scan([site]))
    manager.load_observers()
    manager.notify("ronchi_run_started", run="the run")
    import watcher

    assert watcher.seen == ["the run"]
    assert "observer is ill" in caplog.text


def test_strict_mode_raises_at_once(make_dist, monkeypatch):
    monkeypatch.setenv("RONCHI_STRICT", "1")
    site = make_dist("brokendist", "[ronchi.metrics]\nbroken = brokendist\n", "raise RuntimeError('x')")
    with pytest.raises(PluginError):
        Manager(scan([site])).load_all()
