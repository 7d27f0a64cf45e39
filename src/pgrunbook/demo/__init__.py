"""QuizMentor, the application of the runbook: its data, its operations, and the demonstration.

Takes an empty server; gives a database that is sick in the runbook's ways, or the same one healthy.  It holds no cure.
"""
