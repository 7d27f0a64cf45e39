"""What a database needs again and again, when its calendar says so: vacuum, statistics, indexes, rewrites, reviews.

Takes a calendar, a DSN and a task's name; gives what became of the task.  Every change goes through journey.act, with
its journal, its lock and its guard rails; nothing here changes a database by itself.
"""
