"""`python -m leapcell_emulator`: the program `leapcell`."""

from leapcell_emulator.cli import main

main()
