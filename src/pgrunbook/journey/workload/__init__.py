"""Statements and policies → what they ask of each table.  Takes texts and catalog readings; asks no server.

Stands between observe and diagnose: checks and the index advisor reckon from the same accesses and the same candidates.
A text that cannot be parsed, or names what the catalog does not know, is counted, never guessed.
"""
