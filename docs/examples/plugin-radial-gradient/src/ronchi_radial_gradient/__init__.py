"""Bragg disks by radial gradient maximisation: a plugin of ronchi."""
