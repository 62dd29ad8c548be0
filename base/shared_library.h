#pragma once
// A library that is loaded while the program runs, and is missed only by who asks for it. Movable.
// What was loaded stays until the process ends: CUDA's libraries and profilers leave memory and
// threads behind, which must not outlive their code.
#include <memory>
#include <span>
#include <string>

namespace birkhoff {

class SharedLibrary {
 public:
  SharedLibrary() = default;
  // The first of `names` that the loader finds, by its own search or as a path. Without one it is
  // not loaded, and why() tells the loader's reason for each name.
  explicit SharedLibrary(std::span<const char* const> names);

  bool loaded() const { return handle_ != nullptr; }
  const std::string& name() const { return name_; }  // the one that was found
  const std::string& why() const { return why_; }    // one line; empty: it is loaded

  // Null if there is none of that name. F is the function's type, which nobody can check.
  template <class F>
  F* symbol(const char* name) const {
    return reinterpret_cast<F*>(address(name));
  }

 private:
  struct Close {
    void operator()(void* handle) const;
  };
  void* address(const char* name) const;

  std::unique_ptr<void, Close> handle_;
  std::string name_, why_;
};

}  // namespace birkhoff
