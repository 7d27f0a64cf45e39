"""A step's queries, measured before and after it → Judgement: whether it helped.

Takes a planned step and the session that acts; gives figures that can be journalled, and a judgement on two of them.
"Improved" is said only of what was measured under the target's own load, or reckoned by its planner and labelled so;
where neither was possible the judgement is open, and says why.  `ask_again` asks the checks themselves.
"""

from pgrunbook.journey.verify.again import Now, Rechecked, ask_again, compare
from pgrunbook.journey.verify.verifier import QueryVerifier

__all__ = ["Now", "QueryVerifier", "Rechecked", "ask_again", "compare"]
