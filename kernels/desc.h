#pragma once
// Desc: the attributes of one operator call, typed per operator, held by value.
//
//   struct RmsNormDesc {
//     double eps = 1e-20;
//     static void visit(auto& d, auto&& field) { field("eps", d.eps); }
//   };
//   Desc desc = RmsNormDesc{.eps = 1e-6};
//   desc.as<RmsNormDesc>().eps   // 1e-6
//   desc.text()                  // "eps=1e-06"
//
// An operator's desc type is trivially copyable, at most kDescBytes large, contains no pointers,
// and lists its fields once in visit, which printing (program listings) and equality are based on.
#include <cstddef>
#include <cstring>
#include <new>
#include <string>
#include <type_traits>

#include "base/error.h"

namespace birkhoff {

inline constexpr size_t kDescBytes = 64;

class Desc {
 public:
  Desc() = default;

  template <class D>
  requires(!std::is_same_v<D, Desc>) Desc(const D& d) : type_(&kType<D>) {
    static_assert(std::is_trivially_copyable_v<D> && sizeof(D) <= kDescBytes);
    new (bytes_) D(d);
  }

  template <class D>
  const D& as() const {
    check(type_ == &kType<D>, "a call has the Desc of another operator");
    return *std::launder(reinterpret_cast<const D*>(bytes_));
  }

  std::string text() const { return type_ ? type_->text(bytes_) : std::string(); }
  bool operator==(const Desc& other) const {
    return type_ == other.type_ && text() == other.text();
  }

 private:
  struct Type {
    std::string (*text)(const std::byte*);
  };
  template <class D>
  static std::string text_of(const std::byte* bytes) {
    std::string s;
    const D& d = *std::launder(reinterpret_cast<const D*>(bytes));
    D::visit(d, [&](const char* name, const auto& value) {
      s += fmt::format("{}{}={}", s.empty() ? "" : " ", name, value);
    });
    return s;
  }
  template <class D>
  static inline constexpr Type kType{&text_of<D>};

  alignas(8) std::byte bytes_[kDescBytes] = {};
  const Type* type_ = nullptr;
};

}  // namespace birkhoff
