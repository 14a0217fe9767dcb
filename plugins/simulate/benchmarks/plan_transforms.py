"""Find FFTW's plans for square grids of waves, with patience, and write them where the engine looks for them.

Run it on a quiet machine: plans are chosen by the clock. 768 pixels take half a minute, all the sizes five::

    OMP_NUM_THREADS=1 python plugins/simulate/benchmarks/plan_transforms.py
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import pyfftw
import torch

import ronchi_simulate.multislice.fftw as module
from ronchi_simulate.multislice.fourier import BandTransform
from ronchi_simulate.multislice.grid import WaveGrid

SIZES_PX = (64, 96, 128, 160, 192, 216, 240, 256, 270, 288, 320, 360, 384, 400, 432, 480, 512, 576, 640, 720, 768, 1024)
"""From the patterns of tests to those of detectors, half as large again for the band limit; the library's is 768."""


def plan(n_px: int) -> None:
    """Plan both directions of one grid; the wisdom accumulates in this process."""
    transform = BandTransform(
        WaveGrid((n_px, n_px), (1.0, 1.0)).band_limit, torch.device("cpu"), planner=module.FftwPlanner(may_time=True)
    )
    images = transform.images(1)
    transform.inverse(transform.forward(images), images)


def main() -> None:
    """Plan all sizes and write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sizes_px", type=int, nargs="*", default=SIZES_PX)
    pyfftw.forget_wisdom()
    for n_px in parser.parse_args().sizes_px:
        start = time.perf_counter()
        plan(n_px)
        print(f"{n_px:5d} px  {time.perf_counter() - start:6.1f} s", flush=True)
    _, single, _ = pyfftw.export_wisdom()
    Path(module.__file__).with_name(module.WISDOM).write_bytes(single)


if __name__ == "__main__":
    main()
