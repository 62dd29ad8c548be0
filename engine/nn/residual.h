#pragma once
// The residual is an interface: the model does not know which one it trains (arXiv 2512.24880, Eq.
// 1, 3, 8). Sublayers are numbered through the whole model: attention 2·block, FFN 2·block + 1.
//
//   x = prepare(embedding)                      [T, C] → the residual state, [T, n·C] or [T, C]
//   for each sublayer:  o = open(x, k);  x = close(o, F(o.h))
//   y = read_out(x)                             → [T, C]
#include <memory>
#include <string>

#include "engine/autograd/program.h"
#include "engine/config/config.h"

namespace birkhoff {

struct Opened {
  Value h;          // what F reads, [T, C]
  Value link;       // the residual state, for close() alone
  Value post, res;  // hc, mhc: H_post [T, n], H_res [T, n·n]
};

class Residual {
 public:
  virtual ~Residual() = default;
  virtual Value prepare(Value embedding) const = 0;
  virtual Opened open(Value x, const std::string& name, int64_t sublayer) const = 0;
  virtual Value close(const Opened& opened, Value f) const = 0;
  virtual Value read_out(Value x) const = 0;
};

// Creates the residual that config.residual names.
std::unique_ptr<Residual> make_residual(const ModelConfig& config);

}  // namespace birkhoff
