"""Modules of scripts/tokenize.py. Need only the standard library."""


class DataError(Exception):
    """Bad input. One line says what is wrong, where, and what to do. Exit code 3."""
