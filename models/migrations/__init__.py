"""How the schema came to be: applied in order, within a major version only adding."""
