#include "engine/tensor/parameter.h"

#include "base/rng.h"

namespace birkhoff {

std::vector<Part> parts_of(const ParameterSpec& spec) {
  if (spec.parts.empty()) return {{spec.name, spec.shape, spec.init}};
  int64_t covered = 0;
  for (const Part& part : spec.parts) covered += count(part.shape);
  check(covered == count(spec.shape), "the parts of {} cover {} of {} elements", spec.name, covered,
        count(spec.shape));
  return spec.parts;
}

void initialise(const Part& part, uint64_t seed, std::span<float> values) {
  const Init& init = part.init;
  check(int64_t(values.size()) == count(part.shape), "{} values do not fit {} {}", values.size(),
        part.name, to_string(part.shape));
  const Random random(seed, part.name);
  const int64_t width = part.shape.empty() ? 1 : part.shape.back();
  for (int64_t i = 0; i < int64_t(values.size()); ++i) {
    switch (init.rule) {
      case Init::Rule::constant:
        values[i] = float(init.value);
        break;
      case Init::Rule::normal:
        values[i] = float(init.value) * random.normal(uint64_t(i));
        break;
      case Init::Rule::one_hot:
        values[i] = float(i == init.index ? init.peak : init.value);
        break;
      case Init::Rule::diagonal:
        values[i] = float(i / width == i % width ? init.peak : init.value);
        break;
    }
  }
}

}  // namespace birkhoff
