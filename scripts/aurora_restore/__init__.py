"""The command aurora-restore: plans, starts, follows and explains the operations of a deployed stack.

It is installed as the package `aurora_restore` and run in a checkout as `scripts.aurora_restore`, so its modules import
each other relatively, and nothing else of this repository. What it knows of an operation is what the stack publishes:
its outputs, the items of its two tables, and its executions. Fields that it does not know are ignored.
"""
