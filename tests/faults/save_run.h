#pragma once
// Runs fault_save, which saves three checkpoints and prunes the oldest. `run` is beneath the
// directory whose calls are counted.
#include <gtest/gtest.h>

#include "tests/faults/recording.h"
#include "tests/faults/soundness.h"
#include "tests/support/scratch.h"

namespace birkhoff::testing {

inline constexpr size_t kKept = 2;

inline Command save_command(const Path& directory, const std::string& on_error = "stop",
                            const std::string& keep = "2") {
  return {FAULT_SAVE, (directory / "run").string(), on_error, keep, "3", "6", "9"};
}

inline const Reference& save_reference() {
  static const Reference reference = [] {
    const Scratch scratch;
    const Finished ran = run_program(save_command(scratch.path(), "stop", "9"));
    check(ran.code == 0, "fault_save: {}", ran.err);
    return Reference(scratch / "run");
  }();
  return reference;
}

}  // namespace birkhoff::testing
