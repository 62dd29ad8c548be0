#include "tests/engine/plan/random_program.h"

#include "kernels/identity.h"

namespace birkhoff::testing {
namespace {

double no_flops(Specs, const Desc&) { return 0; }

Outputs sized(Specs, const Desc& desc) { return {{.spec = {{desc.as<Sized>().n}, DType::f32}}}; }

void blend_body(const Args& a) {
  const float *x = a.in<float>(0), *z = a.in<float>(1), *base = a.base<float>(0);
  const int64_t nx = a.count(0), nz = z ? a.count(1) : 1;
  for (int64_t i = 0; i < a.desc<Sized>().n; ++i)
    a.out<float>(0)[i] = (base ? base[i] : 0) + 1.25f * x[i % nx] - (z ? z[i % nz] : 0);
}

template <int kHalves>
void update_body(const Args& a) {
  for (int64_t i = 0; i < a.desc<Sized>().n; ++i)
    a.out<float>(0)[i] =
        0.5f * float(kHalves) * a.out<float>(0)[i] + a.in<float>(0)[i % a.count(0)];
}

Outputs tail(Specs in, const Desc&) {
  const int64_t n = in[0].count();
  return {
      {.spec = {{n - n / 2}, in[0].dtype}, .view_of = 0, .offset = size_t(n / 2) * sizeof(float)}};
}

class Maker {
 public:
  Maker(Program& p, uint64_t seed) : p_(p), random_(seed, "programs") {}

  uint64_t below(uint64_t n) { return random_.below(draws_++, n); }

  void begin(List& list, std::vector<Value> pool) {
    p_.open = &list;
    pool_ = std::move(pool);
  }

  void call() {
    const auto scope = p_.phase({Phase::Part::ffn, int(below(3))});
    const Value x = any();
    switch (below(12)) {
      case 0:
        pool_.push_back(p_.emit(kTail, {x})[0]);
        return;
      case 1:
        change(kBlend, sums_, {x, any()});
        return;
      case 2:
        change(kDecay, states_, {x});
        return;
      case 3:
        change(kReduce, sums_, {x});
        return;
      case 4:
      case 5:
        size_ = size();
        pool_.push_back(send(size_, x, base()));
        return;
      case 6:
        if (count_.program) pool_.push_back(rounds(x));
        return;
      default:
        size_ = size();
        const Value y = below(2) ? any() : Value();
        pool_.push_back(blend(size_, x, y, base()));
    }
  }

  void states(const std::string& prefix) {
    for (int i = 0; i < 2; ++i) {
      states_.push_back(p_.add(Kind::state, fmt::format("state{}", i), {{16}, DType::f32}));
      sums_.push_back(
          p_.add(Kind::accumulator, fmt::format("{}sum{}", prefix, i), {{16}, DType::f32}));
    }
  }

  void count(Value count) { count_ = count; }
  void outputs(int n) {
    for (int i = 0; i < n; ++i) p_.slots[size_t(blend(size(), any()).id)].kind = Kind::output;
  }
  std::vector<Value> shared() const {
    std::vector<Value> all = states_;
    all.insert(all.end(), sums_.begin(), sums_.end());
    return all;
  }

 private:
  Value any() { return pool_[below(pool_.size())]; }

  int64_t size() { return int64_t(8 + 8 * below(4)); }

  // Updates one of `targets` that is not an input, in place.
  void change(const Operator& op, const std::vector<Value>& targets, const std::vector<Value>& in) {
    const Value target = targets[below(targets.size())];
    for (const Value v : in)
      if (v.id == target.id) return;
    p_.emit(op, in, Sized{16}, {.accumulate = {target}});
  }

  // A fresh value of the size of the next one; half of them have other readers later.
  Value base() {
    if (below(2)) return {};
    const Value fresh = blend(size_, any());
    if (below(2)) pool_.push_back(fresh);
    return fresh;
  }

  Value rounds(Value x) {
    const int64_t n = size();
    return p_.rounds([&]() -> Program::Round {
      const Value count = p_.emit(kIdentity, {count_})[0];
      const Value y = blend(24, x), z = blend(8, y, x);
      return {blend(n, z, y), count};
    });
  }

  Program& p_;
  Random random_;
  uint64_t draws_ = 0;
  int64_t size_ = 8;
  std::vector<Value> pool_, states_, sums_;
  Value count_;
};

void nothing(const Args&) {}

}  // namespace

const Operator kBlend{.name = "blend",
                      .outputs = sized,
                      .flops = no_flops,
                      .implementations = {kCpuBody<blend_body>, {}, kReferenceBody<blend_body>}};
const Operator kSend{.name = "send",
                     .outputs = sized,
                     .flops = no_flops,
                     .implementations = {kCpuBody<blend_body>, {}, kReferenceBody<blend_body>},
                     .communicates = true};
const Operator kReduce{
    .name = "reduce",
    .outputs = sized,
    .flops = no_flops,
    .implementations = {kCpuBody<update_body<3>>, {}, kReferenceBody<update_body<3>>},
    .updates = true,
    .communicates = true};
const Operator kDecay{
    .name = "decay",
    .outputs = sized,
    .flops = no_flops,
    .implementations = {kCpuBody<update_body<1>>, {}, kReferenceBody<update_body<1>>},
    .updates = true};
const Operator kTail{.name = "tail",
                     .outputs = tail,
                     .flops = no_flops,
                     .implementations = {kCpuBody<nothing>, {}, kReferenceBody<nothing>}};

RandomPrograms::RandomPrograms(uint64_t seed) {
  Maker maker(train, seed);
  maker.states("");
  const Value x = train.add(Kind::input, "x", {{24}, DType::f32});
  const Value y = train.add(Kind::input, "y", {{8}, DType::f32});
  const Value c = train.add(Kind::constant, "c", {{16}, DType::f32});
  maker.count(train.add(Kind::input, "count", {{1}, DType::i32}));
  std::vector<Value> pool = maker.shared();
  pool.insert(pool.end(), {x, y, c, x, y});
  maker.begin(train.forward, pool);
  for (uint64_t n = 6 + maker.below(14); n > 0; --n) maker.call();
  maker.outputs(2);
  maker.count({});
  pool = maker.shared();
  pool.push_back(c);
  maker.begin(train.update, pool);
  for (uint64_t n = 2 + maker.below(6); n > 0; --n) maker.call();
  maker.outputs(1);
  verify(train);

  Maker second(other, seed + 1000);
  second.states("other_");
  const Value z = other.add(Kind::input, "z", {{8}, DType::f32});
  pool = second.shared();
  pool.push_back(z);
  second.begin(other.forward, pool);
  for (uint64_t n = 2 + second.below(6); n > 0; --n) second.call();
  second.outputs(1);
  verify(other);

  SchedulePart micro = forward_part("micro_batch", train);
  if (maker.below(3) == 0)
    micro.steps[0].push_back({.program = &train, .list = &train.forward, .lane = 1});
  schedule = {micro, update_part(train), forward_part("other", other)};
}

StreamOf random_streams(uint64_t seed, int streams) {
  return [random = Random(seed, "streams"), streams](const Turn& t) {
    const auto id = uint64_t(t.what == Turn::What::call ? t.call->out[0] : 1000 + t.slot);
    return Stream(random.below(id * 8 + uint64_t(t.lane), uint64_t(streams)));
  };
}

}  // namespace birkhoff::testing
