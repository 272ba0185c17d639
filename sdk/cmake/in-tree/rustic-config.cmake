# For the examples inside Rustic-AI's own tree: the targets are there already.
set(rustic_FOUND TRUE)
