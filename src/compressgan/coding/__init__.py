"""Entropy coding: symbols <-> the bytes of a `.bin` file. NumPy and constriction only."""
