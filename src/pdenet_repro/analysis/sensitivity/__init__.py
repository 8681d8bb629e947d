"""Kind ``sensitivity``: the largest singular values of units and networks."""
