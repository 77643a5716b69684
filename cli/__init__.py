"""``tunegate``, also ``kubectl tunegate``: what a person runs from a laptop."""
