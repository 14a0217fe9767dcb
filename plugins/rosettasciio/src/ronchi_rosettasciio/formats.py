"""The formats that are recognised: how sure a header is, who reads it, and what can be taken for granted."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FORMATS", "Format"]


@dataclass(frozen=True, kw_only=True)
class Format:
    """One format.

    Parameters
    ----------
    name : str
    label : str
        As a user would say.
    module : str
        Module of RosettaSciIO; empty where its reader of whole files is not used.
    confidence : float
        Of a file whose content says that it is of this format.
    patterns : bool
        Frames of the format are diffraction patterns, whatever their axes say.
    raw : bool
        Frames are stored as they are, so a file is at least as long as its frames.
    lazy : bool
        Frames are read when they are used.
    """

    name: str
    label: str
    module: str
    confidence: float = 0.9
    patterns: bool = False
    raw: bool = False
    lazy: bool = True


FORMATS: dict[str, Format] = {
    each.name: each
    for each in (
        Format(name="mib", label="Merlin .mib", module="", patterns=True, raw=True),
        Format(name="blo", label="NanoMegas .blo", module="blockfile", patterns=True, raw=True),
        Format(name="tvips", label="TVIPS .tvips", module="tvips", raw=True),
        # RosettaSciIO reads the whole series of frames at opening, whatever it is asked for.
        Format(name="ser", label="TIA .ser", module="tia", raw=True, lazy=False),
        Format(name="emi", label="TIA .emi with its .ser files", module="tia", raw=True, lazy=False),
        Format(name="empad", label="EMPAD .xml with its .raw file", module="empad", patterns=True, raw=True),
        Format(name="mrc", label="MRC, Direct Electron and FEI", module="mrc", raw=True),
        Format(name="dm", label="Gatan .dm3 and .dm4", module="digitalmicrograph", raw=True),
        Format(name="prz", label="CEOS Panta Rhei .prz", module="pantarhei"),
        # Compressed data RosettaSciIO would lazily take for plain ones, and columns that were stored first for rows.
        Format(name="prz-packed", label="CEOS Panta Rhei .prz, not as it lies", module="pantarhei", lazy=False),
        # Read lazily, RosettaSciIO keeps the file open and decodes it as a whole at each use.
        Format(name="tiff", label="TIFF", module="tiff", confidence=0.8, lazy=False),
        Format(name="npy", label="NumPy .npy", module="", confidence=0.6, raw=True),
        Format(name="hspy", label="HyperSpy .hspy", module="hspy"),
        Format(name="zspy", label="HyperSpy .zspy", module=""),
        Format(name="velox", label="Velox .emd", module="emd"),
        Format(name="emd", label="NCEM .emd", module="emd"),
        # The reader that knows py4DSTEM's calibration is to be preferred where it is installed.
        Format(name="py4dstem", label="py4DSTEM .h5", module="emd", confidence=0.3, patterns=True),
        Format(name="nexus", label="NeXus .nxs", module="nexus"),
        Format(name="topspin", label="NanoMegas Topspin .app5", module="topspin", lazy=False),
        # RosettaSciIO would read it into memory and cut 32-bit counts to 16 bits.
        Format(name="arina", label="Dectris Arina _master.h5", module="", patterns=True),
        Format(name="hdf5", label="HDF5 of no known layout", module="", confidence=0.25),
    )
}
"""Format by name."""
