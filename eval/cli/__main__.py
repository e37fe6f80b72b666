"""`python -m eval.cli` is `career-eval`."""

import sys

from . import main

sys.exit(main())
