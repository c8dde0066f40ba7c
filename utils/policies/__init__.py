"""How a policy is read from its text, of masking or of verification: YAML, its fields, and names with wildcards."""
