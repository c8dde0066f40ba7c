"""What a plan needs, looked at before anything is created. Each check yields what is wrong."""
