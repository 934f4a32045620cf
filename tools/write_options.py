"""Writes src/roadstill/cli/options.json: every verb's options and what they take.

The command line looks there before it imports anything that takes seconds, and so does completion of the shell. Run it
after any change of a verb's options:

    python tools/write_options.py
"""

import json

from roadstill.cli.ahead import OPTIONS
from roadstill.cli.listing import options_of_all

if __name__ == "__main__":
    OPTIONS.write_text(json.dumps(options_of_all(), indent=1) + "\n", encoding="utf-8")
