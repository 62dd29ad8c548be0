#include "kernels/decode.h"

#include "kernels/bodies.h"
#include "kernels/format.h"

namespace birkhoff {
namespace {

const TensorSpec kLength{{1}, DType::i32};

Outputs write_outputs(Specs in, const Desc& desc) {
  const TensorSpec &rows = in[CacheWrite::rows], &length = in[CacheWrite::length];
  const int64_t capacity = desc.as<CacheWrite::Desc>().capacity;
  require(rows.shape.size() == 2 && is_floating(rows.dtype) && length == kLength &&
              rows.shape[0] <= capacity,
          "cache_write", "rows {}, length {}, capacity {}", rows, length, capacity);
  return {{.spec = {{capacity, rows.shape[1]}, rows.dtype}}};
}

Outputs decode_outputs(Specs in, const Desc& desc) {
  using A = AttentionDecode;
  const TensorSpec &q = in[A::q], &k = in[A::k_cache], &v = in[A::v_cache];
  const int64_t heads = desc.as<A::Desc>().heads;
  require(q.shape.size() == 2 && k.shape.size() == 2 && v.shape.size() == 2 &&
              is_floating(q.dtype) && k.dtype == q.dtype && v.dtype == q.dtype &&
              q.shape[0] <= k.shape[0] && k.shape[1] == q.shape[1] && v.shape[0] == k.shape[0] &&
              heads > 0 && q.shape[1] % heads == 0 && v.shape[1] % heads == 0 &&
              in[A::length] == kLength,
          "attention_decode", "q {}, k_cache {}, v_cache {}, length {}, {} heads", q, k, v,
          in[A::length], heads);
  return {{.spec = {{q.shape[0], v.shape[1]}, q.dtype}}};
}

double decode_flops(Specs in, const Desc&) {
  using A = AttentionDecode;
  return 2.0 * double(in[A::q].shape[0]) * double(in[A::k_cache].count() + in[A::v_cache].count());
}

}  // namespace

constinit const Operator kCacheWrite{
    .name = "cache_write",
    .outputs = write_outputs,
    .flops = [](Specs, const Desc&) { return 0.0; },
    .implementations = {kCpuBody<cpu::cache_write>, {}, kReferenceBody<reference::cache_write>},
    .bytes = [](Specs in, const Desc&) { return 2.0 * double(in[CacheWrite::rows].bytes()); },
    .updates = true,
};

constinit const Operator kAttentionDecode{
    .name = "attention_decode",
    .outputs = decode_outputs,
    .flops = decode_flops,
    .implementations = {cpu::attention_decode, {}, kReferenceBody<reference::attention_decode>},
};

}  // namespace birkhoff
