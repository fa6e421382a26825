"""Where the command `basisbench` starts: Ctrl-C is understood before anything slow is imported."""

import os
import signal
import sys
from types import FrameType
from typing import NoReturn


def main() -> None:
    """Run the command line and exit: 1 if a cell failed, 2 with one line for bad input, 130 with one for Ctrl-C."""
    # Imports may swallow a KeyboardInterrupt (some do); while they last there is nothing to clean up.
    signal.signal(signal.SIGINT, _stop)
    from basisbench.cli import command

    try:
        status = command()
    except KeyboardInterrupt:
        status = 130
    if status == 130:
        _stop()
    sys.exit(status)


def _stop(signum: int = signal.SIGINT, frame: FrameType | None = None) -> NoReturn:
    print("basisbench: interrupted; finished cells are kept: the same command goes on from them", file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    # not sys.exit: the interpreter's own end takes its time, and a second Ctrl-C there prints a traceback
    os._exit(128 + signal.SIGINT)


if __name__ == "__main__":
    main()
