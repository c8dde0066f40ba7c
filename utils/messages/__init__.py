"""Every word that a person reads: the plan, the outcome, a failure, and the command that comes next."""
