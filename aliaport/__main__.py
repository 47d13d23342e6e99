"""Runs the `aliaport` command for `python -m aliaport`."""

from aliaport.cli import main

if __name__ == "__main__":
    main()
