"""Settings of the index' tests."""

from __future__ import annotations

from hypothesis import settings

# The first example of a test may compile a kernel or a pattern, which takes seconds.
settings.register_profile("compiling", deadline=None)
settings.load_profile("compiling")
