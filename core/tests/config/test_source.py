"""YAML with positions: what is wrong is found at its line and column."""

from __future__ import annotations

import pytest

from ronchi.config.source import did_you_mean, parse_value, read_source
from ronchi.errors import ConfigError


def source_of(tmp_path, text):
    path = tmp_path / "p.yaml"
    path.write_text(text, encoding="utf-8")
    return read_source(path)


def test_values_know_their_place(tmp_path):
    source = source_of(tmp_path, "a:\n  b: [1, {c: 2}]\n")
    assert source.data == {"a": {"b": [1, {"c": 2}]}}
    assert source.where(("a", "b", 1, "c")) == "p.yaml:2:14"
    assert source.where(("a", "b"), key=True) == "p.yaml:2:3"
    assert source.where(("a", "b", 1, "missing")) == "p.yaml:2:10"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("-2", -2),
        ("010", 10.0),
        ("2.5", 2.5),
        (".5", 0.5),
        ("no", "no"),
        ("12:30", "12:30"),
        ("2026-11-21", "2026-11-21"),
        ("true", True),
        ("~", None),
        ("[1, a]", [1, "a"]),
        ("1_000", "1_000"),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text, value):
    parsed = parse_value(text, "--set")
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "a: 1\nb: 2\na: 3\n",
            r"p\.yaml:3:1: the key 'a' is here twice \(first on line 1\)\n  -> give one of them another name",
        ),
        ("a: [1, 2\n", r"p\.yaml:2:1: not valid YAML"),
        ("a:\n\t- 1\n", r"p\.yaml:2:1: not valid YAML[\s\S]*spaces, not tabs"),
        ("a: b: c\n", r"p\.yaml:1:5: not valid YAML[\s\S]*quote text"),
        ("? [1, 2]\n: 3\n", r"p\.yaml:1:3: a key must be plain text"),
        ('a: "C:\\data\\scan.nc"\n', r"p\.yaml:1:8: not valid YAML[\s\S]*'C:\\data' in single quotes, or C:/data"),
        ('a: "C:\\users"\n', r"p\.yaml:1:9: not valid YAML[\s\S]*in single quotes"),
        ("[" * 5000, r"nested without end"),
        ("- 1\n", r"a pipeline is a mapping, this is a list"),
        ("", r"this is empty"),
        ("a: !!python/object/apply:os.system ['true']\n", r"p\.yaml:1:4"),
        ("a: &a [*a]\n", r"aliases refer to themselves"),
        ("a: !!int foo\n", r"p\.yaml:1:4: 'foo' is no int"),
        ("a: !!bool foo\n", r"p\.yaml:1:4: 'foo' is no bool"),
        ("a: M\x9fnchen\n", r"not valid YAML"),
    ],
)
def test_faults_of_form(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message):
        source_of(tmp_path, text)


def test_aliases_do_not_fill_memory(tmp_path):
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    with pytest.raises(ConfigError, match="multiply without end"):
        source_of(tmp_path, "\n".join(lines))


def test_merge_keys_and_anchors(tmp_path):
    source = source_of(tmp_path, "base: &b {x: 1, y: 2}\nuse: {<<: *b, y: 3}\n")
    assert source.data["use"] == {"x": 1, "y": 3}
    again = source_of(tmp_path, "base: &b {x: 1, y: 2}\nuse: &u {<<: *b, y: 3}\nalso: *u\nmore: {<<: *u, x: 4}\n")
    assert again.data["also"] == again.data["use"] == {"x": 1, "y": 3}
    assert again.data["more"] == {"x": 4, "y": 3}


def test_file_that_cannot_be_read(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        read_source(tmp_path / "absent.yaml")
    (tmp_path / "bin.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not UTF-8"):
        read_source(tmp_path / "bin.yaml")


def test_several_faults_come_together(tmp_path):
    source = source_of(tmp_path, "a: 1\nb: 2\n")
    source.fault(("a",), "is wrong", "do this")
    source.fault(("b",), "is wrong too")
    with pytest.raises(ConfigError) as caught:
        source.check()
    assert "2 faults" in str(caught.value)
    assert "p.yaml:1:4: a: is wrong\n  -> do this" in str(caught.value)
    assert "p.yaml:2:4: b: is wrong too" in str(caught.value)


def test_did_you_mean():
    assert did_you_mean("sigma", ["sigma_px", "mode"]) == "did you mean 'sigma_px'? allowed: sigma_px, mode"
    assert did_you_mean("zzz", ["a"]) == "allowed: a"


@pytest.mark.parametrize("name", ["scan.nc", "store.zarr"])
def test_data_in_place_of_a_pipeline(tmp_path, name):
    if name.endswith(".zarr"):
        (tmp_path / name).mkdir()
    else:
        (tmp_path / name).write_bytes(b"\x89HDF\xff\xfe")
    with pytest.raises(ConfigError, match=rf"it looks like data\n  -> `ronchi read .*{name}`"):
        read_source(tmp_path / name)


def test_of_a_scan_given_as_a_pipeline_only_the_beginning_is_read(tmp_path):
    path = tmp_path / "scan.raw"
    with path.open("wb") as file:
        file.truncate(10**12)
    with pytest.raises(ConfigError, match="it looks like data"):
        read_source(path)
