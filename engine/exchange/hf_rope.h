#pragma once
// Reads and writes the rotary keys of config.json: rope_theta, and the scaling of frequencies in
// rope_scaling or, as transformers 5 writes it, rope_parameters. The types default and yarn are
// read. An omitted yarn key means what it means to transformers.
#include "engine/config/config.h"
#include "engine/exchange/hf_fields.h"

namespace birkhoff {

// Sets model.rope_theta and the keys of model.rope_scaling. `positions` is max_position_embeddings,
// the original length if a config names none. Throws JsonError; collects in `fields` what is not
// supported.
void read_hf_rope(HfFields& fields, int64_t positions, ModelConfig& model);

// The value of rope_scaling: null, or yarn's keys.
nlohmann::ordered_json hf_rope_scaling(const ModelConfig& model);

}  // namespace birkhoff
