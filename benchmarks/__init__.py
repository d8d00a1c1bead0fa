"""How fast inpaintlab is beside a plain reference: `python -m benchmarks`, or `make bench`. Settings: settings.py."""

import time

STARTED = time.monotonic()
"""When the run began, before torch and all else was imported, which the minutes of a bounded run include."""
