"""The folder that training processes have on their path, so that ``import moxing`` works in them.

Nothing in it is imported from here. The runner of a training puts this folder on ``PYTHONPATH``;
elsewhere there is no module ``moxing``, as MoXing exists inside ModelArts only.
"""
