"""Questions that are asked of a whole directory: who can, what can, what does a change flip.

An answer is made of decisions, never of a second reading of the rules. What nobody gives is unknown (spec 6.11): a row says
which keys it depends on.
"""
