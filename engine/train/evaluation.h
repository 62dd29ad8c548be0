#pragma once
// The loss of the current parameters on held-out text.
#include <functional>
#include <optional>

#include "comm/communicator.h"
#include "engine/metrics/metrics.h"
#include "engine/train/session.h"
#include "engine/train/training_data.h"

namespace birkhoff {

// Evaluates the first `windows` held-out windows, in micro-batches of `rows` sequences that the
// ranks share. Losses are summed exactly, so the result does not depend on the number of ranks;
// every rank gets it. Sets the losses, eval_tokens and, if the data has a tokenizer,
// eval_bits_per_byte (else NaN). Each rank calls `stop_requested` before each of its batches; once
// one returns true, the evaluation is broken off and all ranks get nothing. Collective. REQUIRES
// validation data.
std::optional<EvalMetrics> evaluate(Session& session, const TrainingData& data, int64_t windows,
                                    int64_t rows, Communicator& ranks,
                                    const std::function<bool()>& stop_requested);

}  // namespace birkhoff
