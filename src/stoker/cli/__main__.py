"""`python -m stoker.cli`: the command line without its script."""

import sys

from stoker.cli import main

sys.exit(main())
