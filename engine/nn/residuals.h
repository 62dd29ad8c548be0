#pragma once
// The residuals there are; the model sees engine/nn/residual.h alone.
#include "engine/nn/residual.h"

namespace birkhoff {

class PlainResidual final : public Residual {
 public:
  Value prepare(Value embedding) const override;
  Opened open(Value x, const std::string& name, int64_t sublayer) const override;
  Value close(const Opened& opened, Value f) const override;
  Value read_out(Value x) const override;
};

// Manifold-constrained hyper-connections (arXiv 2512.24880 §4): n streams, H_res doubly stochastic.
class MhcResidual final : public Residual {
 public:
  explicit MhcResidual(const ModelConfig& config) : config_(config) {}
  Value prepare(Value embedding) const override;
  Opened open(Value x, const std::string& name, int64_t sublayer) const override;
  Value close(const Opened& opened, Value f) const override;
  Value read_out(Value x) const override;

 private:
  ModelConfig config_;
};

}  // namespace birkhoff
