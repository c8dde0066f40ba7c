"""The evidence of operations: its files in the stack's bucket, and the signed chain that says which files those are."""
