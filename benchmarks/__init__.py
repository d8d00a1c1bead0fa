"""How fast inpaintlab is beside a plain reference: `python -m benchmarks`, or `make bench`. Settings: settings.py."""
