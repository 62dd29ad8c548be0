#pragma once
// The names that configs use for the enumerators of config.h, in their order: name(Resume::must)
// is "must".
#include <array>
#include <string_view>

#include "engine/config/config.h"

namespace birkhoff {

template <class E>
struct Choices;

template <>
struct Choices<DeviceChoice> {
  static constexpr std::array<std::string_view, 3> names = {"auto", "cpu", "cuda"};
};
template <>
struct Choices<Resume> {
  static constexpr std::array<std::string_view, 3> names = {"auto", "must", "never"};
};
template <>
struct Choices<DataSourceKind> {
  static constexpr std::array<std::string_view, 2> names = {"files", "random"};
};
template <>
struct Choices<ResidualKind> {
  static constexpr std::array<std::string_view, 3> names = {"plain", "hc", "mhc"};
};
template <>
struct Choices<RopeScaling> {
  static constexpr std::array<std::string_view, 2> names = {"none", "yarn"};
};
template <>
struct Choices<HcKind> {
  static constexpr std::array<std::string_view, 2> names = {"dynamic", "static"};
};
template <>
struct Choices<SinkhornKind> {
  static constexpr std::array<std::string_view, 2> names = {"paper", "v4"};
};
template <>
struct Choices<ReadoutKind> {
  static constexpr std::array<std::string_view, 3> names = {"sum", "learned", "mean"};
};
template <>
struct Choices<Precision> {
  static constexpr std::array<std::string_view, 2> names = {"bf16", "fp32"};
};
template <>
struct Choices<LrSchedule> {
  static constexpr std::array<std::string_view, 4> names = {"step", "cosine", "constant", "wsd"};
};
template <>
struct Choices<OnError> {
  static constexpr std::array<std::string_view, 2> names = {"continue", "stop"};
};
template <>
struct Choices<PipelineSchedule> {
  static constexpr std::array<std::string_view, 5> names = {"1f1b", "interleaved", "zb_h1", "zb_v",
                                                            "dualpipe_v"};
};

template <class E>
constexpr std::string_view name(E value) {
  return Choices<E>::names[static_cast<size_t>(value)];
}

}  // namespace birkhoff
