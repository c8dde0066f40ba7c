"""What travels between the steps: the plan, the payloads and the stack's limits."""
