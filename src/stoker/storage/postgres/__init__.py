"""The store on PostgreSQL 14 or newer: as many servers as one likes on one database."""
