"""`python -m smartico_sync`: the command, where no script is on the path."""

from smartico_sync.cli import main

if __name__ == "__main__":
    main()
