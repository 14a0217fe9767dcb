"""Specimens as atoms, and what is true of them."""
