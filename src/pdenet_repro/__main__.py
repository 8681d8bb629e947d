"""The command line: ``python -m pdenet_repro dynamic=hamiltonian`` composes a configuration and trains its network."""

import atexit
import sys

from pdenet_repro.system import console, signals


def main() -> int:
    """Execute the command in ``sys.argv`` and return its exit code; streams and signal handlers are restored."""
    with console.surviving_output():
        try:
            with signals.raising_stopped():
                from pdenet_repro.cli import command  # loading Hydra takes half a second, and a signal may arrive

                return command.execute(sys.argv[1:])
        except signals.Stopped as stop:
            print(f"stopped by {stop} while nothing was being trained; nothing is lost", file=sys.stderr)
            return stop.exit_code


if __name__ == "__main__":
    atexit.register(signals.ignore_stop_signals)
    sys.exit(main())
