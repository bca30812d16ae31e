"""The picture that the tests of reading put into files."""

import numpy as np


def picture(bits=12, signed=False, size=(40, 56)):
    """Stored values of ``bits`` bits, a slanted ramp with a bump, ``size`` (rows, columns)."""
    rows, columns = np.mgrid[0 : size[0], 0 : size[1]]
    bump = np.exp(-((rows - size[0] / 2) ** 2 + (columns - size[1] / 3) ** 2) / 60)
    unit = (rows + 2 * columns) / (size[0] + 2 * size[1]) * 0.8 + 0.2 * bump
    values = np.rint(unit * (2**bits - 1)) - (2 ** (bits - 1) if signed else 0)
    return values.astype(("int" if signed else "uint") + ("8" if bits <= 8 else "16"))
