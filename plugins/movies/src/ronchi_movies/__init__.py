"""Atoms of a movie in time: tracks, rings, dynamics of descriptors, for ronchi."""
