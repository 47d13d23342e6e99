"""`python -m aliaport` is the `aliaport` command."""

from aliaport.cli import main

if __name__ == "__main__":
    main()
