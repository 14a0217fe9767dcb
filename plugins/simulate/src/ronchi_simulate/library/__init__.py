"""The diffraction library: which runs there are, how one is made, and the store that holds them."""
