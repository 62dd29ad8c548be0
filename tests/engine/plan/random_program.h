#pragma once
// One-line operators and random programs made of them, for tests of plans.
#include <memory>

#include "base/rng.h"
#include "engine/plan/streams.h"

namespace birkhoff::testing {

// Reads as much as its inputs hold, whatever the size of its output.
struct Sized {
  int64_t n = 1;
  static void visit(auto& d, auto&& field) { field("n", d.n); }
};
extern const Operator kBlend;  // y[i] = 1.25·a[i % …] − b[i % …]; a, b (may be absent) → y [n]
extern const Operator kSend;    // the same, and communicates
extern const Operator kReduce;  // updates and communicates: s = 1.5·s + a[i % …];  a → s [n]
extern const Operator kDecay;   // updates: s = 0.5·s + a[i % …];  a → s [n]
extern const Operator kTail;    // the second half of x, a view

inline Value blend(int64_t n, Value a, Value b = {}, Value base = {}) {
  return a.program->emit(kBlend, {a, b}, Sized{n}, {.base = {base}})[0];
}
inline Value send(int64_t n, Value a, Value base = {}) {
  return a.program->emit(kSend, {a, {}}, Sized{n}, {.base = {base}})[0];
}

// Three parts: a micro-batch (forward lists, one or two lanes that alternate), an update, and a
// program of its own that shares states by name. They have views, bases, accumulators, updates,
// rounds and calls that nobody reads, each a few times.
struct RandomPrograms {
  explicit RandomPrograms(uint64_t seed);
  Program train, other;
  Schedule schedule;
};

// Puts every turn on one of `streams` device streams, by seed.
StreamOf random_streams(uint64_t seed, int streams);

}  // namespace birkhoff::testing
