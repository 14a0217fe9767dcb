"""Gaussian mixtures, matrix factorisations and k-means as descriptor learners, for ronchi."""
