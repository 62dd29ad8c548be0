#include "engine/train/programs.h"

#include <set>

#include "engine/autograd/differentiate.h"

namespace birkhoff {

SessionPrograms::SessionPrograms(const Config& config, const Heartbeat& alive)
    : train(activations_of(config), alive), score(activations_of(config), alive) {
  io = trace_training(train, config);
  seed = differentiate(train, io.loss);
  optimizer = trace_update(train, config);
  verify(train);
  score_io = trace_scoring(score, config, config.train.micro_batch, config.train.sequence);
  schedule = {micro_batch_part(train), update_part(train), forward_part("score", score)};
}

std::vector<std::string> summed_accumulators(const Program& p) {
  std::set<std::string> names;
  for (const List* list : {&p.forward, &p.input_gradient, &p.weight_gradient})
    for (const SlotId id : surface(*list).writes) {
      const Slot& slot = p.slots[size_t(p.root(id))];
      if (slot.kind == Kind::accumulator) names.insert(slot.name);
    }
  return {names.begin(), names.end()};
}

}  // namespace birkhoff
