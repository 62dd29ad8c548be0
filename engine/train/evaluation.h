#pragma once
// The loss of held-out text by the parameters as they are.
#include "comm/communicator.h"
#include "engine/metrics/metrics.h"
#include "engine/train/session.h"
#include "engine/train/training_data.h"

namespace birkhoff {

// Of the first `windows` held-out windows, in micro-batches of `rows` sequences that the ranks
// share. Losses are summed exactly, so the result does not depend on the number of ranks; every
// rank gets it. Sets the losses, eval_tokens and, where the data has a tokenizer,
// eval_bits_per_byte (else NaN). Collective. REQUIRES validation data.
EvalMetrics evaluate(Session& session, const TrainingData& data, int64_t windows, int64_t rows,
                     Communicator& ranks);

}  // namespace birkhoff
