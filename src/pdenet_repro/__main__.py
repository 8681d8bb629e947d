"""The command line: ``python -m pdenet_repro dynamic=hamiltonian`` composes a configuration and carries out its run."""

import sys

from pdenet_repro.system import signals


def main() -> int:
    """Handle the process around a command: its words, its signals, its exit code."""
    signals.raise_when_signalled()
    try:
        from pdenet_repro.cli import command
        from pdenet_repro.system import console  # Hydra takes half a second, in which a signal may come

        console.outlive_readers()
        return command.carry_out(sys.argv[1:])
    except signals.Stopped as stop:
        print(f"stopped by {stop} while nothing was being trained; nothing is lost", file=sys.stderr)
        return stop.exit_code
    finally:
        signals.ignore_signals()


if __name__ == "__main__":
    sys.exit(main())
