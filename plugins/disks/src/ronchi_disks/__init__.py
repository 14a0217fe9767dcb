"""Positions of Bragg disks that somebody has found, by maximum likelihood: what detectors share."""
