"""``python -m hetsched`` is the command line."""

from hetsched.cli import main

if __name__ == "__main__":
    main()
