"""The data set: tables, rows and roles of QuizMentor, sick or healthy.

`sql/tables.sql`, `sql/rows/`, `sql/keys/` and `sql/links.sql` are what both have in common; whatever differs stands in
`sql/healthy/` and `sql/sick/`, and faults that live in sessions come from `sicken_sessions`.
"""

from pgrunbook.demo.quizmentor.faults import sicken_sessions
from pgrunbook.demo.quizmentor.load import load
from pgrunbook.demo.quizmentor.names import Names
from pgrunbook.demo.quizmentor.size import Size

__all__ = ["Names", "Size", "load", "sicken_sessions"]
