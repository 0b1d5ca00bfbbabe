"""Libraries that are imported late, because the command line answers much without them, and the limit on their threads.

A limit reaches only what is loaded, and a measured second is to be a strategy's own: so whoever limits or measures
imports this module before.
"""

import scipy.linalg
import scipy.sparse
import scipy.spatial
import scipy.special
import sklearn.cluster

from strategies.functional import arc_cosine
from strategies.functional.engine import counting
from strategies.functional.threads import one_thread

__all__ = ["arc_cosine", "counting", "one_thread", "scipy", "sklearn"]
