"""`python -m pipeline.cli` is `wave`."""

from pipeline.cli import main

if __name__ == "__main__":
    main(prog_name="wave")
