"""PostgreSQL through psycopg2."""
