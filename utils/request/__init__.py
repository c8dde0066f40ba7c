"""What a person requests: the fields of a request, how it is read, and what can be wrong with it."""
