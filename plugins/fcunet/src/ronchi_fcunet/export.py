"""The networks as ONNX files, which run without this plugin and without torch."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from ronchi.api import PluginError
from ronchi_fcunet.maps import DiskMaps
from ronchi_fcunet.weights import Loaded

__all__ = ["export_onnx"]

_MOST_PATTERNS = 65536


class _Plain(nn.Module):
    """The network, its maps in a tuple."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, pattern: Tensor, probe: Tensor) -> tuple[Tensor, ...]:
        said = self.network(pattern, probe)
        return tuple(vars(said).values()) if isinstance(said, DiskMaps) else (said,)


def export_onnx(loaded: Loaded, shape: tuple[int, int], path: Path) -> None:
    """Write a network for patterns of one size; the number of patterns stays open.

    The file has the inputs ``pattern`` (n, qy, qx) and ``probe`` (1, qy, qx), centred at N // 2, both float32, and the
    outputs that `ronchi_fcunet.maps.DiskMaps` names, in its order, or ``structure_factor``. The model card is in
    the metadata, under ``ronchi``. What turns maps into peaks is not in the file.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns of the patterns.
    path : Path
        Replaced if it is there.

    Raises
    ------
    PluginError
        The packages of the extra ``onnx`` are not installed.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401 - torch's exporter needs it
    except ImportError as error:
        raise PluginError(
            f"the export needs a package that is not installed: {error.name}", fix='pip install "ronchi-fcunet[onnx]"'
        ) from error
    compact = loaded.card["kind"] == "compact"
    names = list(DiskMaps.__dataclass_fields__) if compact else ["structure_factor"]
    # A batch of one would be taken for a batch that is always one.
    pattern, probe = torch.ones(2, *shape), torch.ones(1, *shape)
    with warnings.catch_warnings():
        # The exporter warns of its own use of what torch deprecates.
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            _Plain(loaded.network.cpu().eval()),
            (pattern, probe),
            dynamo=True,
            input_names=["pattern", "probe"],
            output_names=names,
            dynamic_shapes={"pattern": {0: torch.export.Dim("n", min=1, max=_MOST_PATTERNS)}, "probe": None},
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    onnx.helper.set_model_props(model, {"ronchi": json.dumps(dict(loaded.card))})
    partial = path.with_name(f".{path.name}.partial")
    onnx.save_model(model, partial)
    partial.replace(path)
