"""Rotationally invariant descriptors: polar invariants, rotational mixtures and autoencoders, for ronchi."""
