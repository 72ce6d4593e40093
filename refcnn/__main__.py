"""``python -m refcnn`` is the command ``refcnn``."""

from .cli import main

if __name__ == "__main__":
    main(prog_name="refcnn")
