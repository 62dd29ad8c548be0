#include <set>

#include "engine/autograd/program.h"
#include "kernels/format.h"

namespace birkhoff {
namespace {

class Verifier {
 public:
  explicit Verifier(const Program& p) : p_(p) {}

  void run(const List& list) {
    for (const Call& call : list) {
      for (const SlotId id : call.in) read(call, id);
      for (size_t k = 0; k < call.out.size(); ++k)
        if (call.base[k] != kNone && call.base[k] != call.out[k]) {
          read(call, call.base[k]);
          check(slot(call.base[k]).spec == slot(call.out[k]).spec, "[{}] base {} for output {}",
                call.op->name, slot(call.base[k]).spec, slot(call.out[k]).spec);
        }
      if (call.op == &kRounds) written_.insert(call.out.begin(), call.out.end());
      run(call.body);
      for (size_t k = 0; k < call.out.size(); ++k) write(call, k);
    }
  }

  void check_links(const List& list) {
    for (const Call& call : list) {
      for (const SlotId id : call.in)
        check(id == kNone || !slot(id).private_link || linked_.insert(id).second,
              "[{}] is the second reader of the private link %{}", call.op->name, id);
      check_links(call.body);
    }
  }

 private:
  const Slot& slot(SlotId id) const { return p_.slots[size_t(id)]; }

  void read(const Call& call, SlotId id) const {
    if (id == kNone) return;
    const Kind kind = slot(id).kind;
    if (kind != Kind::activation && kind != Kind::output) return;
    check(written_.count(id), "[{}] reads %{} before it is written", call.op->name, id);
  }
  void write(const Call& call, size_t k) {
    const SlotId id = call.out[k];
    const bool again = call.base[k] == id || call.op == &kRounds;
    check(written_.insert(id).second || again, "[{}] writes %{} a second time", call.op->name, id);
  }

  const Program& p_;
  std::set<SlotId> written_, linked_;
};

}  // namespace

void verify(const Program& program) {
  Verifier verifier(program);
  for (const List* list :
       {&program.forward, &program.input_gradient, &program.weight_gradient, &program.update})
    verifier.run(*list);
  verifier.check_links(program.forward);
}

}  // namespace birkhoff
