"""Kind ``reversibility``: how exactly the inverse steps undo the forward steps."""
