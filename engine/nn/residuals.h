#pragma once
// The implementations of residuals; the model sees only engine/nn/residual.h.
#include "engine/nn/residual.h"

namespace birkhoff {

class PlainResidual final : public Residual {
 public:
  Value prepare(Value embedding) const override;
  Opened open(Value x, const std::string& name, int64_t sublayer) const override;
  Value close(const Opened& opened, Value f) const override;
  Value read_out(Value x) const override;
};

// n residual streams, [T, n·C]: they start as copies of the embedding, mhc_close writes F back to
// them, and they are read out by their sum, mean or a learned mix. The subclass opens a sublayer.
class StreamsResidual : public Residual {
 public:
  explicit StreamsResidual(const ModelConfig& config) : config_(config) {}
  Value prepare(Value embedding) const final;
  Value close(const Opened& opened, Value f) const final;
  Value read_out(Value x) const final;

 protected:
  // Initial b = b_pre | b_post | b_res. The `own` element of b_pre is k mod n, where k numbers the
  // sublayers of the whole model: each starts by reading another residual stream, which breaks the
  // symmetry between equal ones. The `own` elements of b_res are its diagonal.
  struct BiasStart {
    double pre_own, pre_other, post, res_own, res_other;
  };
  Value bias(Program& program, const std::string& name, int64_t sublayer,
             const BiasStart& start) const;
  Value alpha(Program& program, const std::string& name) const;

  const ModelConfig config_;
};

// Manifold-constrained hyper-connections (arXiv 2512.24880 §4): H_res is doubly stochastic.
class MhcResidual final : public StreamsResidual {
 public:
  using StreamsResidual::StreamsResidual;
  Opened open(Value x, const std::string& name, int64_t sublayer) const override;
};

// Hyper-connections (arXiv 2409.19606): nothing bounds H_res.
class HcResidual final : public StreamsResidual {
 public:
  using StreamsResidual::StreamsResidual;
  Opened open(Value x, const std::string& name, int64_t sublayer) const override;
};

}  // namespace birkhoff
