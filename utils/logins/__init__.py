"""Who may log in to the restored cluster: the master login, the application's roles, and their secrets."""
