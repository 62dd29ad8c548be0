#pragma once
// Formatters for specs and descs, so that require() and check() can take them as arguments and
// format them only when a message is written. Shape rules run for every operator that is traced and
// hardly ever fail.
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
