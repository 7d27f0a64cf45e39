"""A step's queries, measured before and after it → Judgement: whether it helped.

Takes a planned step and the session that acts; gives figures that can be journalled, and a judgement on two of them.
"Improved" is said only of what was measured under the target's own load, or reckoned by its planner and labelled so;
where neither was possible the judgement is open, and says why.
"""

from pgrunbook.journey.verify.verifier import QueryVerifier

__all__ = ["QueryVerifier"]
