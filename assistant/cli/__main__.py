"""`python -m assistant.cli` is `career`."""

import sys

from . import main

sys.exit(main())
