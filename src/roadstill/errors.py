"""The one error that is the user's to mend."""


class UserError(ValueError):
    """Bad input: says in one line what is wrong, where, and the way out. The door turns it into exit code 2."""


class PartlyDone(Exception):
    """The work is done and on disk, but part of the input could not be read; the message is what the verb prints."""
