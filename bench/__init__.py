"""Benchmarks: time and memory beside the released formulas and other libraries.

They are started from the root as `python -m bench.<name>`. Importing this package puts the src/
folder of its own checkout first on the path, as the stages do.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

sys.path.insert(0, str(ROOT / "src"))
