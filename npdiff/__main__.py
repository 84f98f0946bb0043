"""``python -m npdiff`` is ``npdiff``."""

import sys

from npdiff.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
