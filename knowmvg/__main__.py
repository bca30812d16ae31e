"""``python -m knowmvg``: the command line, in the form that torchrun starts (docs/training.md)."""

from knowmvg.interfaces.cli.main import run

if __name__ == "__main__":
    run()
