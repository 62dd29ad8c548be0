#pragma once
// A library loaded at run time; if it is missing, only code that asks for it notices. Movable. A
// loaded library stays until the process ends, because CUDA's libraries and profilers leave memory
// and threads behind that must not outlive their code.
#include <memory>
#include <span>
#include <string>

namespace birkhoff {

class SharedLibrary {
 public:
  SharedLibrary() = default;
  // Loads the first of `names` that the loader finds, by its own search or as a path. If it finds
  // none, loaded() is false and why() has the loader's reason for each name.
  explicit SharedLibrary(std::span<const char* const> names);

  bool loaded() const { return handle_ != nullptr; }
  const std::string& name() const { return name_; }  // the name that was found
  const std::string& why() const { return why_; }    // one line; empty if the library is loaded

  // Null if the library has no such symbol. F is the function's type, which nothing can check.
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
