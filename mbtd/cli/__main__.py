"""``python -m mbtd.cli``."""

import sys

from mbtd.cli import main

sys.exit(main())
