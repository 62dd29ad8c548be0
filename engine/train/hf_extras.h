#pragma once
// Tensors of a Hugging Face directory besides those that a model's parameters are read from: finds
// them and checks them.
//
//   layers for multi-token prediction, numbered after the model's: left out
//   rotary_emb.inv_freq, a buffer that follows from config.json: compared with it, then left out
//   X_scale_inv, the scales of an fp8 weight X: read with X
//   a head that config.json ties to the embedding: compared with the embedding
#include <map>
#include <string>
#include <vector>

#include "engine/exchange/hf_config.h"
#include "engine/exchange/hf_weights.h"

namespace birkhoff {

inline const std::string kHfEmbedding = "model.embed_tokens.weight";
inline const std::string kHfHead = "lm_head.weight";

class HfExtras {
 public:
  // Sorts the tensors of `weights` by their names; reads none. Both outlive this.
  HfExtras(const HfModel& model, const HfWeights& weights);

  // Names that are none of the above, ascending.
  const std::vector<std::string>& others() const { return others_; }

  // What is wrong with the extras, and with how others() are stored: the first fault of each kind.
  // Reads what must be compared, 8 MiB at a time. Throws CheckpointError if that fails.
  std::vector<std::string> faults() const;

  // Describes what is left out, "14 tensors of 1 layer for multi-token prediction"; "" if nothing
  // is.
  std::string left_out() const;

 private:
  const HfTensor* find(const std::string& name) const;
  void sort_in(const std::string& name);
  std::string predictor_fault(int64_t layer) const;  // "": none
  std::string frequency_fault(const std::string& name) const;
  std::string scale_fault(const std::string& name) const;
  std::string tie_fault() const;

  const HfModel& model_;
  const HfWeights& weights_;
  std::vector<std::string> others_;
  std::map<int64_t, size_t> predictors_;  // layer for multi-token prediction → number of tensors
  std::vector<std::string> frequencies_;
};

}  // namespace birkhoff
