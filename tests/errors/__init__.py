"""What users are told when something is wrong: what happened, to what, and what to do. A module a layer."""
