"""The diffraction library: its crystals and orientations, what is true of them, how runs are made, and their store."""
