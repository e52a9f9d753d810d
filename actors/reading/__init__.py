"""Reads: each answers one operation straight from the store, from what is committed."""
