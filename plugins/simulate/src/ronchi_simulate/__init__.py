"""Simulated 4D-STEM data with truth: multislice on torch or abTEM, specimens, the library and augmentation."""
