"""What DynamoDB keeps: the operation's record, its audit trail, and the lock on its target."""
