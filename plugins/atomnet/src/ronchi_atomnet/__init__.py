"""Atoms in images: Laplacian of Gaussian with Gaussian fits, and a network that has learned from simulated movies."""
