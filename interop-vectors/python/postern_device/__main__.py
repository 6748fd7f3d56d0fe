"""The command: `python -m postern_device child|join|run`."""

import sys


def main() -> int:
    """Runs one command."""
    if sys.argv[1:2] == ["child"]:
        from . import child

        return child.run()
    return 2


sys.exit(main())
