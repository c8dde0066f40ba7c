"""The texts of notifications: the plan, the outcome, a failure, and the command that comes next."""
