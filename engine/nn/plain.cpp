#include "engine/nn/functional.h"
#include "engine/nn/residuals.h"

namespace birkhoff {

// Pre-norm: x' = x + F(x).
Value PlainResidual::prepare(Value embedding) const { return embedding; }
Opened PlainResidual::open(Value x, const std::string&, int64_t) const {
  return {.h = x, .link = x, .post = {}, .res = {}};
}
Value PlainResidual::close(const Opened& o, Value f) const { return nn::add(o.link, f); }
Value PlainResidual::read_out(Value x) const { return x; }

std::unique_ptr<Residual> make_residual(const ModelConfig& config) {
  switch (config.residual) {
    case ResidualKind::plain:
      return std::make_unique<PlainResidual>();
    case ResidualKind::mhc:
      return std::make_unique<MhcResidual>(config);
    case ResidualKind::hc:
      return std::make_unique<HcResidual>(config);
  }
  throw InternalError(fmt::format("unknown residual kind {}", int(config.residual)));
}

}  // namespace birkhoff
