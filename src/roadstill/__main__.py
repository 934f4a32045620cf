"""`python -m roadstill` is the same door, for use with torchrun."""

import sys

from roadstill.cli import main

if __name__ == "__main__":  # and not when somebody's recipe names it
    sys.exit(main())
