"""The one kind of error that a user can mend."""


class UserError(Exception):
    """A fault in the input; its one-line text names the file, the key and the remedy."""
