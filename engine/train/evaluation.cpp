#include "engine/train/evaluation.h"

#include <algorithm>
#include <cmath>

#include "base/exact_sum.h"

namespace birkhoff {

std::optional<EvalMetrics> evaluate(Session& session, const TrainingData& data, int64_t windows,
                                    int64_t rows, Communicator& ranks,
                                    const std::function<bool()>& stop_requested) {
  FloatSum sum;
  int64_t counts[3] = {};  // targets, bytes of text they stand for, ranks that should stop
  auto& [valid, bytes, stopped] = counts;
  Batch batch;
  for (int64_t first = rows * ranks.rank(); first < windows; first += rows * ranks.size()) {
    if (stopped = stop_requested(); stopped) break;
    read_batch(*data.source.validation, first, std::min(rows, windows - first), rows, batch);
    for (const float nll : session.score(batch)) sum.add(double(nll));
    valid += batch.valid;
    if (data.tokenizer) bytes += int64_t(text_bytes(*data.tokenizer, batch.target));
  }
  sum.carry();
  std::array<int64_t, kFloatLimbs + 1> limbs;
  std::copy(sum.limbs().begin(), sum.limbs().end(), limbs.begin());
  limbs.back() = sum.nonfinite();
  ranks.all_reduce(elements(std::span<int64_t>(limbs)), Reduction::sum);
  ranks.all_reduce(elements(std::span<int64_t>(counts)), Reduction::sum);
  if (stopped) return std::nullopt;
  const double nats = FloatSum::from(limbs.data(), limbs.back()).value();
  EvalMetrics eval;
  eval.eval_loss = nats / double(std::max<int64_t>(valid, 1));
  eval.eval_bits_per_byte = bytes > 0 ? nats / std::log(2.0) / double(bytes) : NAN;
  eval.eval_tokens = valid;
  return eval;
}

}  // namespace birkhoff
