#include "engine/train/model_tensors.h"

#include <algorithm>

#include "engine/model/model.h"

namespace birkhoff {

std::vector<ModelTensor> model_tensors(const Config& config) {
  Program p;
  trace_scoring(p, config, 1, 1);
  std::vector<ModelTensor> all;
  for (const auto& [id, spec] : p.parameters)
    for (const Part& part : parts_of(spec)) all.push_back({part, true});
  for (const Slot& slot : p.slots)
    if (slot.kind == Kind::state) all.push_back({{slot.name, slot.spec.shape, Init()}, false});
  std::sort(all.begin(), all.end(),
            [](const ModelTensor& a, const ModelTensor& b) { return a.part.name < b.part.name; });
  return all;
}

int64_t fewest_tensors(const Config& c) {
  constexpr int64_t kAttention = 5, kNorms = 2;  // q, kv_a and its norm, kv_b, o
  constexpr int64_t kFfn = 3;                    // gate, up, down
  constexpr int64_t kRouter = 2;                 // weight, balancing bias
  constexpr int64_t kEnds = 3;                   // embedding, final norm, head
  const int64_t dense = std::min(c.model.dense_layers, c.model.layers);
  return c.model.layers * (kAttention + kNorms) + dense * kFfn +
         (c.model.layers - dense) * (kRouter + c.moe.experts * kFfn) + kEnds;
}

}  // namespace birkhoff
