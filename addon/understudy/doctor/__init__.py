"""What can be wrong on this machine, in the order in which it breaks: one check a thing, each with its remedy."""
