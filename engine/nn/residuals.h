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

// n residual streams, [T, n·C]: copies of the embedding at first, written back by mhc_close, read
// out by their sum or a learned mix. How a sublayer is opened is the subclass's.
class StreamsResidual : public Residual {
 public:
  explicit StreamsResidual(const ModelConfig& config) : config_(config) {}
  Value prepare(Value embedding) const final;
  Value close(const Opened& opened, Value f) const final;
  Value read_out(Value x) const final;

 protected:
  // Initial b = b_pre | b_post | b_res. The `own` stream of b_pre is k mod n, k the sublayer
  // counted through the whole model, so that equal streams part; of b_res it is the diagonal.
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

// Hyper-connections (arXiv 2409.19606): H_res is what it is.
class HcResidual final : public StreamsResidual {
 public:
  using StreamsResidual::StreamsResidual;
  Opened open(Value x, const std::string& name, int64_t sublayer) const override;
};

}  // namespace birkhoff
