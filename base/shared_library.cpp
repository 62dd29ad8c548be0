#include "base/shared_library.h"

#include <dlfcn.h>

#include "base/error.h"

namespace birkhoff {

SharedLibrary::SharedLibrary(std::span<const char* const> names) {
  for (const char* name : names) {
    // RTLD_NOW reports missing symbols here rather than at the first call. RTLD_LOCAL keeps the
    // library's symbols from other libraries. RTLD_NODELETE: see the header.
    handle_.reset(dlopen(name, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE));
    if (handle_) {
      name_ = name;
      why_.clear();
      return;
    }
    const char* reason = dlerror();
    why_ += (why_.empty() ? "" : "; ") + printable(reason ? reason : name);
  }
}

void SharedLibrary::Close::operator()(void* handle) const { dlclose(handle); }

void* SharedLibrary::address(const char* name) const {
  return handle_ ? dlsym(handle_.get(), name) : nullptr;
}

}  // namespace birkhoff
