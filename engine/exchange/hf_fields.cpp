#include "engine/exchange/hf_fields.h"

#include <cmath>

#include "base/error.h"

namespace birkhoff {

using nlohmann::json;

double HfFields::real(const json& value, std::string_view name) {
  if (!value.is_number() || !std::isfinite(value.get<double>()))
    throw JsonError(fmt::format("{} is not a finite number", name));
  return value.get<double>();
}

bool HfFields::flag(const std::string& key) {
  const json& value = at(key);
  if (!value.is_boolean()) throw JsonError(fmt::format("{} is not true or false", name(key)));
  return value.get<bool>();
}

int64_t HfFields::count_or(const std::string& key, int64_t otherwise) {
  const json* value = find(key);
  return value && !value->is_null() ? count(key) : otherwise;
}

double HfFields::real_or(const std::string& key, double otherwise) {
  const json* value = find(key);
  return value && !value->is_null() ? real(*value, name(key)) : otherwise;
}

void HfFields::only(const std::string& key, const json& value, bool optional,
                    std::string_view why) {
  const json* found = find(key);
  if (found ? *found != value : !optional) fault(key, found, why);
}

void HfFields::only_or_null(const std::string& key, const json& value, std::string_view why) {
  const json* found = find(key);
  if (found && !found->is_null() && *found != value) fault(key, found, why);
}

void HfFields::fault(const std::string& key, const json* value, std::string_view why) {
  const std::string text =
      value ? value->dump(-1, ' ', true, json::error_handler_t::replace) : "missing";
  faults_.push_back(fmt::format("{} is {}: {}", name(key), printable(text, 60), why));
}

void HfFields::take_faults(const HfFields& from) {
  faults_.insert(faults_.end(), from.faults_.begin(), from.faults_.end());
}

std::string HfFields::name(std::string_view key) const {
  return (where_.empty() ? "" : where_ + ".") + printable(key, 60);
}

}  // namespace birkhoff
