"""Management of the demo: `python oppdemo.py --help`."""

from fastopp.cli.oppdemo import main, run_full_init

__all__ = ["run_full_init"]

if __name__ == "__main__":
    main()
