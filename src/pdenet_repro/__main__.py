"""The command line: ``python -m pdenet_repro dynamic=hamiltonian`` composes a configuration and carries out its run."""

import sys

from pdenet_repro import interrupt


def main() -> int:
    """This process: its words, its signals, its exit code."""
    interrupt.raise_when_signalled()
    try:
        from pdenet_repro import command, tracking  # Hydra takes half a second, in which a signal may come

        tracking.outlive_readers()
        return command.carry_out(sys.argv[1:])
    except interrupt.Stopped as stop:
        print(f"stopped by {stop} while nothing was being trained; nothing is lost", file=sys.stderr)
        return stop.exit_code
    finally:
        interrupt.ignore_signals()


if __name__ == "__main__":
    sys.exit(main())
