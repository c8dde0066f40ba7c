"""The masking policy: what becomes of each column, how the policy is read, and what can be wrong with it."""
