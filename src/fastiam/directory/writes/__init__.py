"""The writes of an account model, one module for each kind of thing. `base` has what they share."""
