"""Kind ``sensitivity``: by how much units and networks enlarge small perturbations."""
