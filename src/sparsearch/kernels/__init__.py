"""Numba kernels: arrays in, arrays out.

What searches and counts has a plain twin in a module whose name ends in ``reference``.
"""

from sparsearch.kernels._compiled import drop_stale_code, place_of_code

drop_stale_code(place_of_code())
