"""EventBridge, EventBridge Scheduler and CloudTrail: what happened, and who is told of it."""
