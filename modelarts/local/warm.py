"""What every board needs, imported once, in the process that boards are forked from."""

import tensorboard.assets
import tensorboard.data.provider
import tensorboard.default
import tensorboard.program

__all__ = ["PLUGINS"]

PLUGINS = tensorboard.default.get_plugins()
