"""`python -m bilabial` is the command `bilabial`."""

import sys

from bilabial.cli import main

sys.exit(main())
