"""The verbs of the command line, one file each: little more than `main`."""

__all__ = ()
