#pragma once
// Per-thread scratch memory of the attention bodies. The same constructors measure its size (with a
// Carver without memory) and divide it into arrays.
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "base/dtype.h"

namespace birkhoff::cpu {

// Queries per block and keys per block: 16 KB of scores, so that two such blocks fit a 48 KB L1.
inline constexpr int64_t kAttentionBlock = 64;

// Divides memory into arrays on 64-byte boundaries; without memory it only counts their bytes.
class Carver {
 public:
  explicit Carver(std::byte* memory) : memory_(memory) {}
  template <class T = float>
  T* take(int64_t count) {
    T* part = memory_ ? reinterpret_cast<T*>(memory_ + used_) : nullptr;
    used_ += (size_t(count) * sizeof(T) + 63) / 64 * 64;  // Whole cache lines.
    return part;
  }
  size_t bytes() const { return used_; }

 private:
  std::byte* memory_;
  size_t used_ = 0;
};

// A head of keys and values. Products take floats, so bf16 rows are first widened, a block at a
// time.
struct HeadShape {
  bool stored;  // Keys and values are stored as bf16.
  int64_t width, value_width;

  // Floats in a widened block of rows; 0 if rows are floats already.
  int64_t widened(int64_t columns) const { return stored ? kAttentionBlock * columns : 0; }
};

struct AttentionWorkspace {
  float* wide;                // A widened block of queries, keys or values in turn, if bf16.
  float* queries;             // [width, block]: a block of queries, transposed, times scale
  float* scores;              // [block keys, block queries]
  float* out;                 // [block, value_width]
  float *top, *sum, *factor;  // [block]

  AttentionWorkspace(Carver& c, const HeadShape& h)
      : wide(c.take(h.widened(std::max(h.width, h.value_width)))),
        queries(c.take(h.width * kAttentionBlock)),
        scores(c.take(kAttentionBlock * kAttentionBlock)),
        out(c.take(kAttentionBlock * h.value_width)),
        top(c.take(kAttentionBlock)),
        sum(c.take(kAttentionBlock)),
        factor(c.take(kAttentionBlock)) {}
  static size_t bytes(const HeadShape& h) {
    Carver c(nullptr);
    AttentionWorkspace(c, h);
    return c.bytes();
  }
};

struct AttentionBackwardWorkspace {
  float *wide_q, *wide_d_o;  // A widened block of queries, if bf16.
  float* wide;               // A widened block of keys or values in turn, if bf16.
  float *queries, *d_outs;   // [width, block], [value_width, block]: transposed
  float *scores, *d_scores;  // [block keys, block queries]
  float* dq;                 // [block, width]
  float *dk, *dv;            // [sequence, width], [sequence, value_width]
  float *lse, *delta;        // [block]

  AttentionBackwardWorkspace(Carver& c, const HeadShape& h, int64_t sequence)
      : wide_q(c.take(h.widened(h.width))),
        wide_d_o(c.take(h.widened(h.value_width))),
        wide(c.take(h.widened(std::max(h.width, h.value_width)))),
        queries(c.take(h.width * kAttentionBlock)),
        d_outs(c.take(h.value_width * kAttentionBlock)),
        scores(c.take(kAttentionBlock * kAttentionBlock)),
        d_scores(c.take(kAttentionBlock * kAttentionBlock)),
        dq(c.take(kAttentionBlock * h.width)),
        dk(c.take(sequence * h.width)),
        dv(c.take(sequence * h.value_width)),
        lse(c.take(kAttentionBlock)),
        delta(c.take(kAttentionBlock)) {}
  static size_t bytes(const HeadShape& h, int64_t sequence) {
    Carver c(nullptr);
    AttentionBackwardWorkspace(c, h, sequence);
    return c.bytes();
  }
};

constexpr int64_t padded(int64_t count, int64_t to) { return (count + to - 1) / to * to; }

// Block sizes of the bodies that multiply pairs of bf16 (kernels/cpu/avx512_bf16/attention.cpp):
// keys and queries per block, and keys per stripe, which are three vectors of pairs.
struct PairBlocks {
  static constexpr int64_t kStripe = 48;
  int64_t keys, queries;

  PairBlocks of(int64_t sequence) const {
    const int64_t most = padded(sequence, 16);
    return {std::min(keys, most), std::min(queries, most)};
  }
};
inline constexpr PairBlocks kPairForward{512, 512}, kPairBackward{256, 128};

// The width of a head with its paddings.
struct PairWidth {
  int64_t pairs;  // Pairs along the width.
  int64_t lanes;  // Columns, padded to whole vectors of pairs or floats.
  int64_t row;    // Row stride of a copy, padded to whole vectors of bf16.
  explicit PairWidth(int64_t width)
      : pairs((width + 1) / 2), lanes(padded(width, 16)), row(padded(width, 32)) {}
};

struct PairAttentionWorkspace {
  PairBlocks blocks;
  PairWidth width, value;
  uint32_t* keys;    // stripes [block / 48][width / 2, 48]
  uint32_t* values;  // [block / 2, value lanes]
  bf16* queries;     // [8, row]
  int64_t row;       // Row stride of scores and p.
  float* scores;     // [8, row]
  bf16* p;           // [8, row]
  // Accumulators for all queries of a task. p_sum sums the rounded p.
  float *out, *top, *sum, *p_sum;

  PairAttentionWorkspace(Carver& c, const HeadShape& h, int64_t sequence)
      : blocks(kPairForward.of(sequence)),
        width(h.width),
        value(h.value_width),
        keys(c.take<uint32_t>(padded(blocks.keys, PairBlocks::kStripe) * width.pairs)),
        values(c.take<uint32_t>(blocks.keys / 2 * value.lanes)),
        queries(c.take<bf16>(8 * width.row)),
        row(blocks.keys + 16),
        scores(c.take(8 * row)),
        p(c.take<bf16>(8 * row)),
        out(c.take(blocks.queries * value.lanes)),
        top(c.take(blocks.queries)),
        sum(c.take(blocks.queries)),
        p_sum(c.take(blocks.queries)) {}
  static size_t bytes(const HeadShape& h, int64_t sequence) {
    Carver c(nullptr);
    PairAttentionWorkspace(c, h, sequence);
    return c.bytes();
  }
};

struct PairAttentionBackwardWorkspace {
  PairBlocks blocks;
  PairWidth width, value;
  uint32_t *keys, *values;          // stripes [block / 48][width / 2, 48]
  uint32_t* key_pairs;              // [block / 2, lanes]
  bf16 *queries, *d_outs;           // [block, row]
  uint32_t *query_pairs, *d_pairs;  // [block / 2, lanes]
  uint32_t *p, *ds;                 // Pairs of queries: [key block / 16][query block / 2, 16].
  bf16* d_scores;                   // A second copy of ds, [query block, key block].
  float *dk, *dv;                   // [block, lanes]
  float* dq;                        // [sequence, lanes]
  float *lse, *delta;               // [sequence]; lse is multiplied by log2 e.

  PairAttentionBackwardWorkspace(Carver& c, const HeadShape& h, int64_t sequence)
      : blocks(kPairBackward.of(sequence)),
        width(h.width),
        value(h.value_width),
        keys(c.take<uint32_t>(padded(blocks.keys, PairBlocks::kStripe) * width.pairs)),
        values(c.take<uint32_t>(padded(blocks.keys, PairBlocks::kStripe) * value.pairs)),
        key_pairs(c.take<uint32_t>(blocks.keys / 2 * width.lanes)),
        queries(c.take<bf16>(blocks.queries * width.row)),
        d_outs(c.take<bf16>(blocks.queries * value.row)),
        query_pairs(c.take<uint32_t>(blocks.queries / 2 * width.lanes)),
        d_pairs(c.take<uint32_t>(blocks.queries / 2 * value.lanes)),
        p(c.take<uint32_t>(blocks.keys * blocks.queries / 2)),
        ds(c.take<uint32_t>(blocks.keys * blocks.queries / 2)),
        d_scores(c.take<bf16>(blocks.keys * blocks.queries)),
        dk(c.take(blocks.keys * width.lanes)),
        dv(c.take(blocks.keys * value.lanes)),
        dq(c.take(padded(sequence, 8) * width.lanes)),
        lse(c.take(padded(sequence, 8))),
        delta(c.take(padded(sequence, 8))) {}
  static size_t bytes(const HeadShape& h, int64_t sequence) {
    Carver c(nullptr);
    PairAttentionBackwardWorkspace(c, h, sequence);
    return c.bytes();
  }
};

}  // namespace birkhoff::cpu
