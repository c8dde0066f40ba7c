"""Masking in the restored databases: what a policy means there as SQL, and how it is done."""
