"""Bragg disks by neural networks: FCU-Net, its two relatives, and a compact detector."""
