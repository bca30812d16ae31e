"""The ``knowmvg`` command: one file a command, joined in main.py. Heavy imports wait until a command needs them."""
