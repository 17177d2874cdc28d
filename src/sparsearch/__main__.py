"""``python -m sparsearch``."""

from sparsearch.cli import main

if __name__ == "__main__":
    main()
