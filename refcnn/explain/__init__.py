"""Operations that can be watched while they compute, and where each number comes from.

The reference's own lines run on arrays that note what is read, written and computed (:mod:`.recording`); what a page
plays of that is data of ``explain.schema.json``. Nothing here computes an operation a second time.
"""

from .walking import Formula, Number, Walk, Walks, walk
