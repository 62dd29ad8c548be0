#pragma once
// Describes a parameter apart from its values. A slot may hold several canonical tensors one after
// another (gate and up; every expert): each is a Part with its own frozen name, and initialisation,
// norms, checkpoints and export see parts alone.
#include <span>
#include <string>
#include <vector>

#include "base/shape.h"

namespace birkhoff {

// How a part is initialised. Values are functions of (seed, part name, element index): base/rng.h.
struct Init {
  enum class Rule { constant, normal, one_hot, diagonal };
  Rule rule = Rule::constant;
  double value = 0;   // constant; standard deviation of normal; elements other than the peak
  double peak = 0;    // one_hot: at `index`; diagonal: at (i, i) of a square part
  int64_t index = 0;  // position of the peak of one_hot
};

struct Part {
  std::string name;
  Shape shape;
  Init init;
};

// Which optim.weight_decay… key applies.
enum class Decay { matrix, embedding, phi, fixed, norm };

// Axes of the mesh over which a rank's gradient is only a partial sum.
enum Axis : unsigned { kNoAxis = 0, kTp = 1, kDp = 2, kEp = 4 };

struct ParameterSpec {
  std::string name;  // name of the slot
  Shape shape;
  Decay decay = Decay::matrix;
  std::vector<Part> parts = {};  // in order, covering the slot; empty: one part, the slot itself
  Init init = {};                // used when parts is empty
  unsigned reduced_over = kDp;
};

// Returns the parts of a parameter, or itself if it has none. Throws InternalError unless they
// cover it.
std::vector<Part> parts_of(const ParameterSpec& spec);

// Writes the initial values of one part (f32).
void initialise(const Part& part, uint64_t seed, std::span<float> values);

}  // namespace birkhoff
