#pragma once
// Simulates power cuts in a recorded run, each with every state that it may leave on the disk.
#include <set>

#include "base/hash.h"
#include "tests/faults/disk.h"
#include "tests/support/scratch.h"

namespace birkhoff::testing {

struct Cuts {
  size_t cuts = 0, states = 0;
  std::string first_fault = {};  // empty: all is well
};

inline std::string hash_of(const Tree& tree, size_t committed) {
  std::string text = fmt::format("{}\n", committed);
  for (const auto& [name, contents] : tree)
    text += fmt::format("{} {}\n", name,
                        contents ? hash128(std::as_bytes(std::span(*contents))) : "directory");
  return text;
}

// Cuts after each of `calls` for which `wanted(call)` holds, before the first and after the last.
// Stops at the first fault: `inspect(directory, committed, number)` returns what is wrong with the
// state left in `directory`, given that the checkpoints of the steps `committed` had been
// committed; `number` counts the states.
template <class W, class F>
Cuts cut_power(const std::vector<FileCall>& calls, W wanted, F inspect) {
  Cuts found;
  Disk disk;
  std::set<int64_t> committed;
  std::set<std::string> seen;
  for (size_t n = 0; n <= calls.size(); ++n) {
    if (n > 0) disk.apply(calls[n - 1]);
    if (const int64_t step = n > 0 ? committed_by(calls[n - 1]) : 0) committed.insert(step);
    if (n > 0 && n < calls.size() && !wanted(calls[n - 1])) continue;
    ++found.cuts;
    for (const Tree& tree : disk.after_cut()) {
      if (!seen.insert(hash_of(tree, committed.size())).second) continue;
      ++found.states;
      const Scratch scratch;
      write_tree(tree, scratch.path());
      const std::string fault = inspect(scratch.path(), committed, found.states);
      if (fault.empty()) continue;
      found.first_fault =
          fmt::format("cut {}{}: {}", n ? "behind call " : "before all",
                      n ? fmt::format("{}, {}", n, to_string(calls[n - 1])) : "", fault);
      return found;
    }
  }
  return found;
}

}  // namespace birkhoff::testing
