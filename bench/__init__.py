"""How fast the daemon is, beside what people write themselves: `make bench`, or `python -m bench.<part>` in a checkout."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent / "tests"))  # its servers are those of the tests
