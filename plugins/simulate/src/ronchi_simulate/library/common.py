"""Crystals that most specimens are made of: metals, semiconductors, ceramics, salts, with their own lattice constants.

The prototypes of `ronchi_simulate.library.crystals` are many and rare alike: of them one in twenty is a structure that
most laboratories know, diamond is carbon alone, and zincblende knows no gallium arsenide. Lattice constants are those
of the usual tables (Wyckoff 1963; CRC Handbook of Chemistry and Physics), good to about a per cent, at room temperature
where the structure is stable there, and of the idealised cell where it is not: cubic perovskites, zirconia, NiTi. Free
coordinates are those of the compound that stands for the structure; all spinels are normal ones.
Those in `ronchi_simulate.library.crystals.JUDGED_BY` are left out.
"""

from __future__ import annotations

import functools
import itertools
import re
import warnings
from typing import TYPE_CHECKING

import numpy as np

from ronchi_simulate.library.crystals import Crystal

if TYPE_CHECKING:
    from pymatgen.core import Structure

__all__ = ["MATERIALS", "common_crystals"]

MATERIALS = {
    ("A_cF4_225_a", "Cu"): "Al 4.050, Ca 5.588, Cu 3.615, Sr 6.085, Rh 3.803, Pd 3.891, Ag 4.086, Ce 5.161, Yb 5.485, "
    "Ir 3.839, Au 4.078, Pb 4.951, Th 5.084",
    ("A_cI2_229_a", "W"): "Li 3.510, Na 4.291, K 5.328, V 3.024, Cr 2.885, Fe 2.867, Nb 3.300, Ba 5.023, Eu 4.581, "
    "Ta 3.303, W 3.165",
    ("A_hP2_194_c", "Mg"): "Be 2.286 3.584, Mg 3.209 5.211, Sc 3.309 5.273, Ti 2.951 4.684, Co 2.507 4.069, "
    "Y 3.648 5.732, Zr 3.232 5.148, Ru 2.706 4.282, Cd 2.979 5.618, Hf 3.195 5.051, Re 2.761 4.458, Os 2.734 4.320, "
    "Gd 3.634 5.781, Dy 3.592 5.650",
    ("A_cF8_227_a", "C"): "C 3.567, Si 5.431, Sn 6.489",
    ("A_hR2_166_c", "As"): "As 3.760 10.548, Sb 4.307 11.273, Bi 4.546 11.862",
    ("A_hP3_152_a", "Se"): "Se 4.366 4.954, Te 4.457 5.929",
    ("A_hP4_194_bc", "C"): "C 2.464 6.711",
    ("AB_cF8_216_c_a", "ZnS"): "BN 3.616, BP 4.538, SiC 4.360, AlP 5.464, AlAs 5.661, AlSb 6.136, GaP 5.451, "
    "GaAs 5.653, GaSb 6.096, InAs 6.058, InSb 6.479, ZnS 5.409, ZnSe 5.668, ZnTe 6.104, CdTe 6.482, HgTe 6.461, "
    "CuCl 5.416, CuBr 5.690, CuI 6.052",
    ("AB_hP4_186_b_b", "ZnS"): "GaN 3.189 5.185, InN 3.545 5.703, ZnO 3.250 5.207, ZnS 3.823 6.261, CdS 4.136 6.714, "
    "CdSe 4.299 7.010, SiC 3.076 5.048, BeO 2.698 4.377, AgI 4.592 7.510",
    ("AB_cF8_225_a_b", "NaCl"): "LiCl 5.140, NaF 4.634, NaCl 5.640, NaBr 5.973, KF 5.347, KCl 6.293, KBr 6.600, "
    "RbCl 6.581, AgCl 5.549, AgBr 5.775, MgO 4.212, CaO 4.811, SrO 5.160, BaO 5.539, MnO 4.445, FeO 4.307, CoO 4.260, "
    "NiO 4.177, EuO 5.141, MgS 5.200, MnS 5.224, PbS 5.936, PbSe 6.124, PbTe 6.462, SnTe 6.313, TiC 4.328, ZrC 4.698, "
    "HfC 4.638, VC 4.166, NbC 4.470, TaC 4.456, UC 4.960, TiN 4.242, ZrN 4.578, CrN 4.149, VN 4.139, ScN 4.502, "
    "GdN 4.999",
    ("AB_cP2_221_b_a", "CsCl"): "CsCl 4.123, CsBr 4.286, CsI 4.567, TlCl 3.834, NiAl 2.887, FeAl 2.909, CoAl 2.864, "
    "CuZn 2.945, NiTi 3.015",
    ("AB_hP4_194_c_a", "NiAs"): "NiAs 3.619 5.034, NiS 3.439 5.346, MnTe 4.148 6.711, MnSb 4.128 5.784, "
    "CoSb 3.866 5.188, NiSb 3.934 5.138, FeSb 4.072 5.140, AuSn 4.323 5.523, NiTe 3.980 5.380",
    ("AB_hP4_194_c_d", "BN"): "BN 2.504 6.661",
    ("AB_hP2_187_d_a", "WC"): "WC 2.906 2.837",
    ("AB_tP2_123_a_d", "CuAu"): "CuAu 2.804 3.673, FePt 2.724 3.713, FePd 2.722 3.722, CoPt 2.682 3.675, "
    "TiAl 2.832 4.070, NiMn 2.645 3.524",
    ("AB3_cP4_221_a_c", "Cu3Au"): "Cu3Au 3.748, Ni3Al 3.572, Ni3Fe 3.545, Ni3Si 3.504, Ni3Ga 3.585, Pt3Fe 3.872, "
    "Pt3Cr 3.877, Al3Sc 4.103, Zr3Al 4.372, Sn3La 4.769, Sn3Ce 4.721, In3Ce 4.689",
    ("A3B_cP8_223_c_a", "Cr3Si"): "Cr3Si 4.556, V3Si 4.726, V3Ga 4.817, Nb3Sn 5.290, Nb3Al 5.183, Mo3Si 4.890, "
    "Ti3Au 5.094",
    ("AB2_cF12_225_a_c", "CaF2"): "CaF2 5.463, SrF2 5.800, BaF2 6.200, CdF2 5.388, PbF2 5.940, SrCl2 6.977, "
    "CeO2 5.411, ZrO2 5.090, HfO2 5.115, ThO2 5.597, UO2 5.471, CoSi2 5.365, NiSi2 5.406, PtAl2 5.910, AuAl2 5.997, "
    "OLi2 4.619, ONa2 5.550, SiMg2 6.351, GeMg2 6.393, SnMg2 6.765",
    ("AB2_hP6_194_c_f", "MoS2"): "MoS2 3.161 12.295, WS2 3.153 12.323, MoSe2 3.289 12.927, WSe2 3.282 12.961, "
    "MoTe2 3.519 13.971",
    ("AB2_hP3_191_a_d", "AlB2"): "AlB2 3.009 3.262, MgB2 3.086 3.524, TiB2 3.028 3.228, ZrB2 3.170 3.533",
    ("AB2_cP12_205_a_c", "FeS2"): "FeS2 5.418, CoS2 5.535, NiS2 5.686, MnS2 6.104, RuS2 5.610, CoSe2 5.858, "
    "NiSe2 5.962, PtP2 5.696, PtAs2 5.967",
    ("A2B_tP6_136_f_a", "TiO2"): "TiO2 4.594 2.959, VO2 4.555 2.851, MnO2 4.398 2.873, RuO2 4.492 3.107, "
    "IrO2 4.505 3.159, CrO2 4.421 2.917, PbO2 4.957 3.389, GeO2 4.395 2.860, MgF2 4.621 3.053, MnF2 4.873 3.310, "
    "FeF2 4.697 3.309, NiF2 4.651 3.084, ZnF2 4.703 3.134",
    ("A2B_hP9_152_c_a", "SiO2"): "SiO2 4.913 5.405, GeO2 4.987 5.652",
    ("A2B_cF24_227_d_a", "MgCu2"): "MgCu2 7.048, CaAl2 8.040, LaAl2 8.148, CeAl2 8.061, GdAl2 7.900, YAl2 7.860, "
    "TiCr2 6.943, NbCr2 6.991, ZrCo2 6.951, ZrV2 7.439",
    ("A2B3_hR10_167_c_e", "Al2O3"): "Al2O3 4.759 12.991, Cr2O3 4.959 13.594, Fe2O3 5.036 13.749, V2O3 4.952 14.003, "
    "Ti2O3 5.149 13.642, Ga2O3 4.983 13.433, Rh2O3 5.127 13.853",
    ("AB3C_cP5_221_a_c_b", "CaTiO3"): "SrTiO3 3.905, KTaO3 3.989, KNbO3 4.021, LaAlO3 3.790, PbTiO3 3.969, "
    "BaZrO3 4.193, BaSnO3 4.116, SrSnO3 4.034, SrRuO3 3.928, SrFeO3 3.850, SrVO3 3.842, LaMnO3 3.880, LaNiO3 3.840, "
    "LaCoO3 3.830, BiFeO3 3.965, CsPbCl3 5.605, CsPbBr3 5.874, CsPbI3 6.289, KMgF3 3.989, KMnF3 4.190",
    ("AB2C_cF16_225_a_c_b", "MnAlCu2"): "MnAlCu2 5.949, MnGaNi2 5.825, MnSnNi2 6.052, MnSiCo2 5.654, MnGeCo2 5.743, "
    "MnAlCo2 5.756, FeSiCo2 5.640, FeAlCo2 5.730, VAlFe2 5.761",
    ("ABC2_tI16_122_a_b_d", "CuFeS2"): "CuFeS2 5.289 10.423, CuInS2 5.523 11.133, CuGaS2 5.351 10.484, "
    "CuInSe2 5.782 11.619, CuGaSe2 5.614 11.022",
    ("A2BC4_cF56_227_d_a_e", "MgAl2O4"): "MgAl2O4 8.083, ZnAl2O4 8.086, FeFe2O4 8.394, NiFe2O4 8.339, CoFe2O4 8.392, "
    "ZnFe2O4 8.441, MgCr2O4 8.333, ZnCr2O4 8.327, FeCr2O4 8.379, CoCo2O4 8.084, LiMn2O4 8.248, CdCr2Se4 10.745, "
    "CuCr2S4 9.814",
}
"""Of a prototype, its AFLOW label and the compound that stands for it: compounds, their elements in the same order,
with a, or a and c, of the conventional cell in angstrom."""

_NAME = re.compile(r"([A-Z][a-z]?)(\d*)")


@functools.cache
def common_crystals() -> tuple[Crystal, ...]:
    """All of them in their conventional cells, so that indices are those that are usual.

    Materials come in turn, one of every prototype, as long as it has any.
    """
    columns = []
    for (label, example), materials in MATERIALS.items():
        structure = _conventional(label, example)
        columns.append([_material(label, example, structure, entry) for entry in materials.split(", ")])
    return tuple(crystal for row in itertools.zip_longest(*columns) for crystal in row if crystal is not None)


def _conventional(label: str, example: str) -> Structure:
    from pymatgen.analysis.prototypes import AFLOW_PROTOTYPE_LIBRARY
    from pymatgen.core import Composition
    from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

    wanted = Composition(example)
    entries = (e["snl"].structure for e in AFLOW_PROTOTYPE_LIBRARY if e["tags"]["aflow"] == label)
    found = next(structure for structure in entries if structure.composition.reduced_composition == wanted)
    with warnings.catch_warnings():
        # Every call warns of the way in which a later version of spglib will report errors.
        warnings.simplefilter("ignore", DeprecationWarning)
        return SpacegroupAnalyzer(found).get_conventional_standard_structure()


def _material(label: str, example: str, structure: Structure, entry: str) -> Crystal:
    name, *constants = entry.split()
    a, c = float(constants[0]), float(constants[-1])
    stretch = np.array([a, a, c]) / np.array(structure.lattice.abc)
    old, new = ([symbol for symbol, _ in _NAME.findall(formula)] for formula in (example, name))
    made = structure.copy()
    made.replace_species(dict(zip(old, new, strict=True)))
    lattice = np.array(structure.lattice.matrix) * stretch[:, None]
    return Crystal(
        prototype=label,
        formula=made.composition.reduced_formula,
        lattice_angstrom=lattice,
        fractional=np.array(made.frac_coords, float) % 1.0,
        numbers=np.array([site.specie.Z for site in made], int),
    )
