"""Interrupts that come at a moment which cannot bear them."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType

__all__ = ["spare_kernels"]

_CANNOT_RAISE = {
    "_numba_unpickle",  # makes objects of a kernel's results
    "_raw_object_cache_getbuffer",  # before machine code is made
    "_raw_object_cache_notify",  # after it was made
}
"""Functions in Python that Numba has called by machine code, which expects no exception there."""

_LATER_SECONDS = 0.005


def spare_kernels() -> None:
    """Put off, by some milliseconds, an interrupt (Ctrl-C) as a kernel returns or is compiled.

    Numba would end the process with another error than KeyboardInterrupt, or crash it. An
    interrupt that is ignored, or handled otherwise, stays so.
    """
    on_posix = os.name == "posix"  # where a process can send itself an interrupt
    if on_posix and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> None:
    running = frame
    while running is not None:
        if running.f_code.co_name in _CANNOT_RAISE:
            again = threading.Timer(_LATER_SECONDS, os.kill, (os.getpid(), number))
            again.daemon = True
            again.start()
            return
        running = running.f_back
    signal.default_int_handler(number, frame)
