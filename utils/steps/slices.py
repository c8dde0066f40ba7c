"""Work inside the databases that may take longer than a function lives is done in slices, one in each call."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable

# A slice ends by itself, well before Lambda would end it after a quarter of an hour.
SLICE_SECONDS = 720.0
# The next slice follows at once: a state machine may only not go round without waiting.
PAUSE_SECONDS = 1
# All slices of a masking, or of a verification.
DEADLINE = dt.timedelta(hours=24)


def time_left() -> Callable[[], float]:
    """Return what says how many seconds are left of this slice, which begins now."""
    began = time.monotonic()
    return lambda: SLICE_SECONDS - (time.monotonic() - began)
