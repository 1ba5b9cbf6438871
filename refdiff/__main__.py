"""`python -m refdiff` is the command `refdiff`."""

import sys

from .cli import main

sys.exit(main())
