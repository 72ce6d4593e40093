"""Numbers, times and days as pages write them."""

import datetime
import math

from ..display import shown


def number(value):
    """Return a measured number in three digits."""
    return "∞" if math.isinf(value) else f"{value:.3g}"


def duration(seconds):
    """Return a time in the units that suit it."""
    if math.isinf(seconds):
        return "∞"
    if seconds < 9.95:
        return f"{seconds:.2g} s"
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


def day(date):
    """Return an ISO 8601 date and time in a form for people, in UTC if it tells its offset."""
    moment = datetime.datetime.fromisoformat(date)
    try:
        return f"{moment.astimezone(datetime.UTC):%Y-%m-%d %H:%M} UTC" if moment.tzinfo else f"{moment:%Y-%m-%d %H:%M}"
    except OverflowError:
        # The first and the last day that can be told may be another one in UTC.
        return date


def short(text, most=60):
    """Return a text in one line without what would act on its surroundings, shortened in the middle if it is long."""
    line = shown(text)
    if len(line) <= most:
        return line
    # What tells names apart is often at their end.
    end = (most - 1) // 2
    return f"{line[: most - 1 - end]}…{line[-end:]}"
