#pragma once
// A temporary directory for one test, removed with the object.
#include <gtest/gtest.h>

#include <cstdlib>

#include "base/error.h"
#include "base/files.h"

namespace birkhoff::testing {

class Scratch {
 public:
  Scratch() {
    std::string name = ::testing::TempDir() + "birkhoff-XXXXXX";
    check(::mkdtemp(name.data()) != nullptr, "no scratch directory {}", name);
    path_ = name;
  }
  ~Scratch() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  const Path& path() const { return path_; }
  Path operator/(const std::string& name) const { return path_ / name; }

 private:
  Path path_;
};

// Read a small file and replace one, without any of the care that files.h takes. The old file is
// removed first, because some file systems flush a file that is truncated and rewritten.
inline std::string slurp(const Path& path) { return read_file(path, size_t(1) << 28); }
inline void spill(const Path& path, std::string_view bytes) {
  std::filesystem::remove(path);
  std::FILE* file = std::fopen(path.c_str(), "wb");
  check(file && std::fwrite(bytes.data(), 1, bytes.size(), file) == bytes.size() &&
            std::fclose(file) == 0,
        "cannot write {}", path.string());
}

}  // namespace birkhoff::testing
