"""Numba kernels: arrays in, arrays out. Each has a plain NumPy twin in `kernels.reference`."""
