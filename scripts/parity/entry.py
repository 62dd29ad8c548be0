"""One comparison. Neither this nor report.py needs PyTorch, as ordinary tests use both."""
import dataclasses
import math


@dataclasses.dataclass
class Entry:
    """One tensor of one side compared with the oracle; errors are norms of differences."""
    case: str
    side: str
    tensor: str
    error: float
    bound: float
    norm: float

    def holds(self):
        return self.error <= self.bound  # false for NaN

    def ratio(self):
        if self.error == 0:
            return 0.0
        return self.error / self.bound if self.bound > 0 and self.error == self.error else math.inf
