#pragma once
// Specs and descs as arguments of require() and check(): written only where a message is. Shape
// rules are called for every operator that is traced, and hardly ever fail.
#include <string_view>

#include "base/format.h"
#include "base/shape.h"
#include "kernels/desc.h"

template <>
struct fmt::formatter<birkhoff::TensorSpec> : fmt::formatter<std::string_view> {
  auto format(const birkhoff::TensorSpec& spec, fmt::format_context& context) const {
    return fmt::formatter<std::string_view>::format(birkhoff::to_string(spec), context);
  }
};

template <>
struct fmt::formatter<birkhoff::Desc> : fmt::formatter<std::string_view> {
  auto format(const birkhoff::Desc& desc, fmt::format_context& context) const {
    return fmt::formatter<std::string_view>::format(desc.text(), context);
  }
};
