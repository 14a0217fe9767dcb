"""The manager loads plugins one by one; each fault has a message that says what and what to do."""

from __future__ import annotations

import re

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


@pytest.mark.parametrize(
    ("field", "text", "wanted"),
    [
        ("params=P", "params=dict", "a subclass of Params"),
        ('inputs={"result": "strain/1"}', 'inputs=["strain/1"]', "a mapping of texts to texts"),
        ('factory=f"{__name__}:Algo"', "factory=Algo", "a text"),
        ('output="scores/1"', 'output="scores/1", version="1.0"', "a whole number"),
        ('output="scores/1"', 'output="scores/1", capabilities=["cuda"]', "a set of texts"),
        ('output="scores/1"', 'output="scores/1", suffixes=".x"', "a tuple of texts"),
        ('output="scores/1"', 'output="scores/1", columns={"score": "1"}', "a mapping of names"),
    ],
)
def test_a_field_of_a_spec_that_is_of_another_type_is_told_by_name(make_dist, field, text, wanted):
    manager = Manager(scan([install(make_dist, "good", "gooddist", GOOD.replace(field, text))]))
    name = text.rpartition(", ")[2].partition("=")[0]
    with pytest.raises(PluginError, match=rf"the field '{name}' of the algorithm 'good' is .*, not {wanted}"):
        manager.spec("metric", "good")


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


@pytest.mark.parametrize(("api", "message"), [(0, "upgrade liar"), (3, "upgrade ronchi")])
def test_the_api_before_this_one_works_for_a_time_with_a_warning(make_dist, monkeypatch, caplog, api, message):
    """As in a release of ronchi whose API is 2, and which still takes 1."""
    monkeypatch.setattr("ronchi.manager.API_VERSION", 2)
    monkeypatch.setattr("ronchi.loader.API_VERSION", 2)
    monkeypatch.setattr("ronchi.manager.SUPPORTED_APIS", frozenset({1, 2}))

    def made_for(version):
        return GOOD.replace("NAME", "timed").replace('output="scores/1"', f'output="scores/1", api={version}')

    site = make_dist("liar", "[ronchi.metrics]\ntimed = liar\n", made_for(api))
    with pytest.raises(PluginError, match=message):
        Manager(scan([site])).spec("metric", "timed")
    site = make_dist("elder", "[ronchi.metrics]\naged = elder\n", made_for(1).replace("timed", "aged"))
    caplog.clear()
    manager = Manager(scan([site]))
    for _ in range(2):
        assert manager.create("metric", "aged").score(None, None, None) == {"sigma": 2.0}
    (told,) = caplog.messages
    assert told == (
        "metric/aged was made for version 1 of the plugin API, which a later ronchi will refuse: upgrade elder"
    )


def test_missing_factory_is_told_at_creation(make_dist):
    site = install(make_dist, "hollow", "hollowdist", GOOD.replace(":Algo", ":Nothing"))
    with pytest.raises(PluginError, match="cannot be imported"):
        Manager(scan([site])).create("metric", "hollow")


def test_allow_list(make_dist):
    site = install(make_dist, "good", "gooddist")
    with pytest.raises(PluginError, match="allow-list"):
        Manager(scan([site]), allow={"other"}).spec("metric", "good")
    assert Manager(scan([site]), allow={"good"}).spec("metric", "good").name == "good"


def test_allow_list_of_one_distribution(make_dist):
    install(make_dist, "same", "onedist")
    manager = Manager(scan([install(make_dist, "same", "twodist")]), allow={"onedist:same"})
    assert manager.spec("metric", "onedist:same").name == "same"
    with pytest.raises(PluginError, match="'twodist:same' of twodist is not on the allow-list"):
        manager.spec("metric", "twodist:same")


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


@pytest.fixture
def strict(monkeypatch):
    monkeypatch.setenv("RONCHI_STRICT", "1")


def test_strict_mode_stops_at_a_plugin_that_nobody_uses(make_dist, strict):
    install(make_dist, "good", "gooddist")
    site = make_dist("brokendist", "[ronchi.metrics]\nbroken = brokendist\n", "raise RuntimeError('x')")
    with pytest.raises(PluginError, match=r"brokendist: brokendist 1\.0: RuntimeError: x"):
        Manager(scan([site])).load_all()
    with pytest.raises(PluginError, match="brokendist"):
        Manager(scan([site])).specs("metric")
    assert [spec.name for spec in Manager(scan([site]), strict=False).specs("metric")] == ["good"]


def test_strict_mode_stops_at_faulty_metadata(make_dist, strict):
    site = make_dist("odd", "[ronchi.metrics]\nodd = not a module!\n")
    with pytest.raises(PluginError, match=r"odd: ronchi\.metrics: the value 'not a module!'"):
        Manager(scan([site]))


def test_strict_mode_lets_observers_stop_a_run(make_dist, strict):
    code = """
        from ronchi.api import hookimpl
        @hookimpl
        def ronchi_run_started(run):
            raise ValueError("observer is ill")
    """
    manager = Manager(scan([make_dist("watcher", "[ronchi.observers]\nwatcher = watcher\n", code)]))
    manager.load_observers()
    with pytest.raises(ValueError, match="observer is ill"):
        manager.notify("ronchi_run_started", run="the run")


def test_trace_tells_what_is_imported_and_called(make_dist, monkeypatch, caplog):
    site = install(make_dist, "good", "gooddist")
    watching = "from ronchi.api import hookimpl\n@hookimpl\ndef ronchi_run_started(run):\n    pass\n"
    make_dist("watcher", "[ronchi.observers]\nwatcher = watcher\n", watching)

    def use():
        manager = Manager(scan([site]))
        manager.spec("metric", "good")
        manager.load_observers()
        manager.notify("ronchi_run_started", run="the run")

    use()
    assert caplog.messages == []
    monkeypatch.setenv("RONCHI_TRACE", "1")
    use()
    first, second, third = caplog.messages
    assert re.fullmatch(r"imported gooddist:gooddist in \d+\.\d{3} s, with \d+ modules: metric/good", first)
    assert second.startswith("imported watcher:watcher in ")
    assert third == "ronchi_run_started of watcher:watcher"
