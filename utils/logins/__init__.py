"""The logins of the restored cluster: the master login, the application's roles, and their secrets."""
