import sys
import numpy as np
from mindspore import Tensor
from mindspore.train.summary import SummaryRecord
import mindspore
print(mindspore.__version__)
with SummaryRecord(sys.argv[1]) as record:
    for step in range(1, 11):
        record.add_value("scalar", "loss", Tensor(np.float32(1 / step)))
        record.record(step)
