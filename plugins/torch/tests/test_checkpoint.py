"""What is written comes back; what is damaged is refused; an optimiser goes on as if nothing had been."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ronchi.api import DataError, OutputError
from ronchi_torch.checkpoint import fingerprint, moments_of, read_checkpoint, restore_moments, write_checkpoint


def test_tensors_and_text_come_back(tmp_path: Path) -> None:
    path = tmp_path / "new" / "state.safetensors"
    held = {"model": {"a.weight": torch.arange(6.0).reshape(2, 3).T}, "counts": {"n": torch.tensor([2, 3])}, "no": {}}
    write_checkpoint(path, held, {"step": "7", "identity": "ü"})
    saved = read_checkpoint(path)
    assert saved.told == {"step": "7", "identity": "ü"}
    assert torch.equal(saved.group("model")["a.weight"], held["model"]["a.weight"])
    assert torch.equal(saved.group("counts")["n"], torch.tensor([2, 3]))
    assert saved.group("no") == {}


def test_a_write_that_fails_leaves_the_last_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "state.safetensors"
    write_checkpoint(path, {"model": {"a": torch.ones(2)}}, {"step": "1"})

    def full(self: Path, target: Path) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OutputError, match=r"state\.safetensors: cannot be written: No space .*\n.*free some space"):
        write_checkpoint(path, {"model": {"a": torch.zeros(2)}}, {"step": "2"})
    assert read_checkpoint(path).told == {"step": "1"}
    assert list(tmp_path.iterdir()) == [path], "what is left of it would fill the disk further"


def test_a_disk_that_takes_nothing_is_told_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is read-only lets nobody remove what is not there either."""

    def refused(self: Path, *given: object, **options: object) -> None:
        raise OSError("Read-only file system")

    for name in ("mkdir", "unlink"):
        monkeypatch.setattr(Path, name, refused)
    with pytest.raises(OutputError, match="cannot be written: Read-only"):
        write_checkpoint(tmp_path / "state.safetensors", {"model": {"a": torch.zeros(2)}}, {})


def test_a_limit_that_is_reached_is_told_as_one(tmp_path: Path) -> None:
    """As a full disk is, for which the library has an exception of its own."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(OutputError, match=r"cannot be written: .*File too large"):
            write_checkpoint(tmp_path / "state.safetensors", {"model": {"a": torch.zeros(10**5)}}, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [b"", b"nothing of the kind", b"\xff" * 64])
def test_damaged_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "state.safetensors"
    path.write_bytes(content)
    with pytest.raises(DataError, match="damaged"):
        read_checkpoint(path)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.complex64, torch.int64])
def test_a_number_that_changed_on_the_disk_is_noticed(tmp_path: Path, dtype: torch.dtype) -> None:
    path = tmp_path / "state.safetensors"
    write_checkpoint(
        path, {"network": {"weight": torch.ones(3, dtype=dtype), "step": torch.tensor(1, dtype=dtype)}}, {}
    )
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match="damaged"):
        read_checkpoint(path)


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.AdamW])
def test_an_optimiser_goes_on_bit_for_bit(kind: type[torch.optim.Optimizer], tmp_path: Path) -> None:
    def steps(parameter: torch.nn.Parameter, optimiser: torch.optim.Optimizer, n: int) -> None:
        for _ in range(n):
            optimiser.zero_grad()
            (parameter - 3).square().sum().backward()
            optimiser.step()

    def new() -> tuple[torch.nn.Parameter, torch.optim.Optimizer]:
        parameter = torch.nn.Parameter(torch.linspace(-1, 1, 5))
        return parameter, kind([parameter], lr=0.1)  # type: ignore[call-arg]

    whole, optimiser = new()
    steps(whole, optimiser, 5)
    first, optimiser = new()
    steps(first, optimiser, 3)
    path = tmp_path / "state.safetensors"
    write_checkpoint(path, {"model": {"p": first}, "adam": moments_of(optimiser)}, {})
    second, optimiser = new()
    saved = read_checkpoint(path)
    second.data.copy_(saved.group("model")["p"])
    restore_moments(optimiser, saved.group("adam"))
    steps(second, optimiser, 2)
    assert torch.equal(whole, second)


@pytest.mark.parametrize("others", [(3, 5), (5,), ()])
def test_moments_of_other_parameters_are_refused(others: tuple[int, ...]) -> None:
    def optimiser(sizes: tuple[int, ...]) -> torch.optim.Optimizer:
        parameters = [torch.nn.Parameter(torch.ones(size)) for size in sizes]
        torch.stack([parameter.sum() for parameter in parameters]).sum().backward()
        made = torch.optim.Adam(parameters)
        made.step()
        return made

    moments = moments_of(optimiser((5, 3)))
    restore_moments(optimiser((5, 3)), moments)
    with pytest.raises(ValueError, match="of other parameters"):
        restore_moments(optimiser(others or (1, 3)), moments)


def test_a_fingerprint_knows_where_parts_end() -> None:
    assert fingerprint("ab", "c") != fingerprint("a", "bc")
    assert fingerprint("ab") == fingerprint(b"ab")
