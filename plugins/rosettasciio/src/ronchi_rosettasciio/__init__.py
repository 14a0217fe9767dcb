"""Vendor files through RosettaSciIO, and py4DSTEM's HDF5, for ronchi."""
