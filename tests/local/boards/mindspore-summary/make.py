"""How ``run-1`` was made, with MindSpore 2.9.0: ``python make.py run-1``.

The host's name was taken out of the file's name afterwards.
"""

import sys

import numpy as np
from mindspore import Tensor
from mindspore.train.summary import SummaryRecord

with SummaryRecord(sys.argv[1]) as record:
    for step in range(1, 11):
        record.add_value("scalar", "loss", Tensor(np.float32(1 / step)))
        record.record(step)
