"""Bragg-disk detection by template correlation."""
