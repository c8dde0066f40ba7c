"""What several packages agree on: plan, payloads, the tables of settings and of a route's calls, the stack's limits."""
