#include "engine/train/tensor_view.h"

namespace birkhoff {

std::vector<TensorView> parameter_views(const Program& program, const Executor& executor) {
  std::vector<TensorView> all;
  for (const auto& [id, spec] : program.parameters) {
    std::byte* at = executor.address(executor.plan().place(program, 0, id));
    for (const Part& part : parts_of(spec)) {
      const TensorSpec part_spec{part.shape, program.slots[size_t(id)].spec.dtype};
      all.push_back({part.name, part_spec, {at, part_spec.bytes()}});
      at += part_spec.bytes();
    }
  }
  return all;
}

std::vector<TensorView> model_views(const Program& program, const Executor& executor) {
  std::vector<TensorView> all = parameter_views(program, executor);
  for (const Plan::Named& state : executor.plan().named(Kind::state))
    if (state.name.ends_with(".e_score_correction_bias"))
      all.push_back({state.name, state.spec, {executor.address(state.place), state.place.bytes}});
  return all;
}

}  // namespace birkhoff
