"""`python -m fastiam`: the command line."""

from fastiam.cli.main import main

if __name__ == "__main__":
    main()
