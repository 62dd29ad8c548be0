#pragma once
// Reading config.json field by field: what has the wrong type is thrown at once as JsonError, what
// is well formed but not supported is collected, a line for each, so that one refusal names all.
#include <string>
#include <string_view>
#include <vector>

#include "engine/checkpoint/json.h"

namespace birkhoff {

class HfFields {
 public:
  // `where` names the object in messages and, but for the top level, in front of its keys.
  explicit HfFields(const nlohmann::json& object, std::string where = "")
      : where_(std::move(where)), fields_(object, where_.empty() ? "it" : where_) {}

  JsonFields& fields() { return fields_; }  // for readers of other files too
  const nlohmann::json* find(const std::string& key) { return fields_.find(key); }
  const nlohmann::json& at(const std::string& key) { return fields_.at(key); }
  int64_t count(const std::string& key) { return int64_t(fields_.count(key, INT32_MAX)); }
  double real(const std::string& key) { return real(at(key), name(key)); }
  static double real(const nlohmann::json& value, std::string_view name);
  bool flag(const std::string& key);

  // The same where the key may be missing or null.
  int64_t count_or(const std::string& key, int64_t otherwise);
  double real_or(const std::string& key, double otherwise);

  // Refuses anything but `value`, or, where `optional`, no such key.
  void only(const std::string& key, const nlohmann::json& value, bool optional,
            std::string_view why);
  // Refuses anything but `value`, null or no such key.
  void only_or_null(const std::string& key, const nlohmann::json& value, std::string_view why);

  // Refuses the value at `key`; null: there is none.
  void fault(const std::string& key, const nlohmann::json* value, std::string_view why);
  // Takes over what another object's fields were refused for.
  void take_faults(const HfFields& from);
  const std::vector<std::string>& faults() const { return faults_; }

  void done() const { fields_.done(); }  // throws if there is a field that was not asked for
  std::string name(std::string_view key) const;  // with its place: "rope_scaling.factor"

 private:
  std::string where_;
  JsonFields fields_;
  std::vector<std::string> faults_;
};

}  // namespace birkhoff
