#pragma once
// Reads config.json field by field. A value of the wrong type throws JsonError at once; what is
// well formed but not supported is collected, one line each, so that one refusal names everything.
#include <string>
#include <string_view>
#include <vector>

#include "engine/checkpoint/json.h"

namespace birkhoff {

class HfFields {
 public:
  // `where` names the object in messages and, except at the top level, precedes its keys.
  explicit HfFields(const nlohmann::json& object, std::string where = "")
      : where_(std::move(where)), fields_(object, where_.empty() ? "it" : where_) {}

  JsonFields& fields() { return fields_; }  // for readers of other files too
  const nlohmann::json* find(const std::string& key) { return fields_.find(key); }
  const nlohmann::json& at(const std::string& key) { return fields_.at(key); }
  int64_t count(const std::string& key) { return int64_t(fields_.count(key, INT32_MAX)); }
  double real(const std::string& key) { return real(at(key), name(key)); }
  static double real(const nlohmann::json& value, std::string_view name);
  bool flag(const std::string& key);

  // The same, but the key may be missing or null.
  int64_t count_or(const std::string& key, int64_t otherwise);
  double real_or(const std::string& key, double otherwise);

  // Refuses any other value than `value`, and a missing key unless `optional`.
  void only(const std::string& key, const nlohmann::json& value, bool optional,
            std::string_view why);
  // Refuses anything but `value`, null or a missing key.
  void only_or_null(const std::string& key, const nlohmann::json& value, std::string_view why);

  // Records that the value at `key` is refused; null: the key is missing.
  void fault(const std::string& key, const nlohmann::json* value, std::string_view why);
  // Adds the faults of another object's fields.
  void take_faults(const HfFields& from);
  const std::vector<std::string>& faults() const { return faults_; }

  void done() const { fields_.done(); }          // throws if there is a field that was never read
  std::string name(std::string_view key) const;  // with its object: "rope_scaling.factor"

 private:
  std::string where_;
  JsonFields fields_;
  std::vector<std::string> faults_;
};

}  // namespace birkhoff
