"""Robust lattice fits to Bragg peaks and exact finite strain, for ronchi."""
