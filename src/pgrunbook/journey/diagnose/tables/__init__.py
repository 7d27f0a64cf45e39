"""Snapshot → plain tables that people want to look at: what runs, what waits, what is large.

A module a table: `NEEDS` and `LIKES` are the readings it asks, `table(seen)` makes the rows.  Nothing is judged here.
A need without an answer raises NotRead; what could not be had besides is said in the table's notes.
"""
