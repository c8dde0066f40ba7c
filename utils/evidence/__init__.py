"""The evidence of operations: the pages that people read, and the chain that they are sealed in."""
