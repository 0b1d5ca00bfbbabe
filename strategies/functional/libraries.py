"""Libraries that are imported late, because the command line answers much without them.

A limit on threads (`threadpoolctl`) reaches only what is loaded, and a measured second is to be a strategy's own: so
whoever limits or measures imports this module before.
"""

import scipy.linalg
import scipy.sparse
import scipy.spatial
import scipy.special
import sklearn.cluster

from strategies.functional import arc_cosine, counting

__all__ = ["arc_cosine", "counting", "scipy", "sklearn"]
