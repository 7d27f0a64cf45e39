"""The command, and `python -m pgrunbook`: loads the program, and ends without a traceback when interrupted in that."""

from __future__ import annotations

import sys
from typing import NoReturn


def start() -> NoReturn:
    """Run the command line of this process."""
    try:
        from pgrunbook.surfaces.cli.main import main  # noqa: PLC0415 - its loading is what may be interrupted
    except KeyboardInterrupt:
        sys.stderr.write("error: interrupted\n")
        sys.exit(130)
    main()


if __name__ == "__main__":
    start()
