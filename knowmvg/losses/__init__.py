"""Named, unweighted loss terms; their weights live in the recipe and are summed once, in training."""
