"""Kind ``reversibility``: how exactly units run backwards."""
