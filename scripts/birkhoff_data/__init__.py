"""What scripts/tokenize.py is made of. Needs the standard library alone."""


class DataError(Exception):
    """Bad input: one line that says what, where and what to do. Exit code 3."""
