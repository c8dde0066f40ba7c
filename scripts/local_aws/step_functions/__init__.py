"""Step Functions: the states language, its validation, executions, and the API."""
