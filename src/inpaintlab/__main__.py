"""``python -m inpaintlab VERB ...`` is the command ``inpaintlab VERB ...``, for where its script is not on the path."""

from inpaintlab.cli import main

if __name__ == "__main__":
    main()
