"""Management of the project: `python oppman.py --help`."""

from fastopp.cli.oppman import main, migrate_leapcell

__all__ = ["migrate_leapcell"]

if __name__ == "__main__":
    main()
