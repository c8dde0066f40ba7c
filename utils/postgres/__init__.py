"""SQL: everything that is looked at or changed inside the restored cluster. No other package talks to PostgreSQL."""
