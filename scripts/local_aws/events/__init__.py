"""EventBridge, EventBridge Scheduler and CloudTrail: what happened, and who is informed of it."""
