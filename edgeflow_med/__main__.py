"""``python -m edgeflow_med`` is the command line."""

import sys

from edgeflow_med.cli import main

if __name__ == "__main__":
    sys.exit(main())
