"""RDS for Aurora PostgreSQL: moto's RDS replaced by one that behaves like Aurora, on real PostgreSQL servers."""
