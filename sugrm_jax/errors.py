"""The one error type a user is meant to see."""


class UserError(Exception):
    """Something the user can mend: bad input, a bad setting, a full disk.

    The message is one or a few plain sentences that name the file, the field and
    the fix. Entry points print it without a traceback and exit with status 2.
    """
