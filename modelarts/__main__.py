"""``python -m modelarts`` is the command ``modelarts``."""

import sys

from modelarts.cli import main

if __name__ == "__main__":
    sys.exit(main())
