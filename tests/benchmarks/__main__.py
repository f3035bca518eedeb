"""Run the benchmarks, all or those that are named, each in a process of its own so that none warms up another.

``python -m tests.benchmarks engine video`` · options are those of ``python -m tests.benchmarks.engine`` and so on.
"""

from __future__ import annotations

import argparse
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

NAMES = sorted(path.stem for path in Path(__file__).parent.glob("*.py") if not path.stem.startswith("_"))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NAMES))
    chosen = parser.parse_args().names or NAMES
    if unknown := sorted(set(chosen) - set(NAMES)):
        parser.error(f"there is no benchmark {', '.join(unknown)}; choose from {', '.join(NAMES)}")
    print(f"{platform.machine()}, Python {platform.python_version()}, torch {version('torch')}")
    failed = 0
    for name in chosen:
        print(f"\n== {name}", flush=True)
        failed += subprocess.run([sys.executable, "-m", f"{__package__}.{name}"], check=False).returncode != 0
    return failed


if __name__ == "__main__":
    sys.exit(main())
