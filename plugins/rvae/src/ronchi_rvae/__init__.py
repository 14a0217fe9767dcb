"""Rotationally invariant descriptors: polar invariants, rotational mixtures and variational autoencoders, for ronchi."""
