"""`python -m roadstill` is the same door, for use with torchrun."""

import sys

from roadstill.cli import main

sys.exit(main())
