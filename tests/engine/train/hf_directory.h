#pragma once
// A directory in Hugging Face's form, in memory, for tests that change something in it.
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "base/directory.h"
#include "engine/checkpoint/safetensors.h"
#include "tests/support/scratch.h"

namespace birkhoff::testing {

struct HfDirectory {
  struct Stored {
    TensorSpec spec;
    std::string bytes;
  };

  nlohmann::json config;
  std::map<std::string, Stored> tensors;

  explicit HfDirectory(const Path& path)
      : config(nlohmann::json::parse(slurp(path / "config.json"))) {
    for (const std::string& name : Directory(path).names()) {
      if (!name.ends_with(".safetensors")) continue;
      const std::string file = slurp(path / name);
      const auto bytes = std::as_bytes(std::span(file));
      const size_t size = safetensors_header_bytes(bytes.first(8), file.size(), name);
      for (const auto& e : parse_safetensors(bytes.first(size), file.size(), name).tensors)
        tensors[e.name] = {e.spec, file.substr(e.begin, e.end - e.begin)};
    }
  }

  // Writes it as one file, and replaces what is at `path`.
  void write(const Path& path) const {
    std::filesystem::remove_all(path);
    std::filesystem::create_directories(path);
    spill(path / "config.json", config.dump(1));
    std::vector<NamedTensor> named;
    for (const auto& [name, t] : tensors) named.push_back({name, t.spec, {}});
    std::string file = safetensors_header(named, {{"format", "pt"}});
    for (const auto& [name, t] : tensors) file += t.bytes;
    spill(path / "model.safetensors", file);
  }

  template <class T>
  void set(const std::string& name, const Shape& shape, DType dtype, const std::vector<T>& values) {
    tensors[name] = {{shape, dtype},
                     {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)}};
  }
};

}  // namespace birkhoff::testing
