"""Numba kernels: arrays in, arrays out. Each has a plain NumPy twin in `kernels.reference`."""

from sparsearch.kernels._compiled import drop_stale_code

drop_stale_code()
