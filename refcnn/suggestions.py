"""What somebody may have meant who typed a name that is not known."""


def did_you_mean(word, names):
    """Return `` Did you mean 'NAME'?`` for the name that is closest to a word, whatever their case; else nothing.

    Parameters
    ----------
    word : str
    names : iterable of str

    Returns
    -------
    str
    """
    import difflib

    by_lower_case = {name.lower(): name for name in names}
    close = difflib.get_close_matches(word.lower(), by_lower_case, n=1)
    return f" Did you mean {by_lower_case[close[0]]!r}?" if close else ""
