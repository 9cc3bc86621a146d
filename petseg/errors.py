"""The error class for faults that a user can correct."""


class UserError(Exception):
    """A fault in the input; its one-line text names the file, the key and the remedy."""
