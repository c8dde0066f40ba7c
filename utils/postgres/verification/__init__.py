"""Verification of the restored databases: what is looked at there, as a role that may read and do nothing else."""
