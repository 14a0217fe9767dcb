"""The conformance kit: what every algorithm of a kind promises, as tests.

A test file of a plugin has six lines::

    from ronchi.testing import DiskDetectorContract


    class TestMyDetector(DiskDetectorContract):
        algorithm = "my-detector"

``pytest`` runs it, or ``ronchi test-plugin my-detector`` without a file.
"""

from __future__ import annotations

from ronchi.testing.atom_finders import AtomFinderContract
from ronchi.testing.contract import Check, Contract, Outcome, Report
from ronchi.testing.detectors import DiskDetectorContract
from ronchi.testing.failure import ContractError, NotApplicable
from ronchi.testing.isolation import isolated_manager
from ronchi.testing.learners import DescriptorLearnerContract
from ronchi.testing.metrics import MetricContract
from ronchi.testing.readers import ReaderContract
from ronchi.testing.simulators import SimulatorContract
from ronchi.testing.strain_solvers import StrainSolverContract
from ronchi.testing.transforms import TransformContract
from ronchi.testing.writers import WriterContract

__all__ = [
    "CONTRACTS",
    "AtomFinderContract",
    "Check",
    "Contract",
    "ContractError",
    "DescriptorLearnerContract",
    "DiskDetectorContract",
    "MetricContract",
    "NotApplicable",
    "Outcome",
    "ReaderContract",
    "Report",
    "SimulatorContract",
    "StrainSolverContract",
    "TransformContract",
    "WriterContract",
    "isolated_manager",
]

CONTRACTS: dict[str, type[Contract]] = {
    contract.kind: contract
    for contract in (
        ReaderContract,
        SimulatorContract,
        TransformContract,
        DiskDetectorContract,
        DescriptorLearnerContract,
        StrainSolverContract,
        AtomFinderContract,
        MetricContract,
        WriterContract,
    )
}
"""Kind to its contract."""
