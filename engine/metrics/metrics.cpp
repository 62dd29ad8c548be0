#include "engine/metrics/metrics.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/system_error.h"
#include "engine/checkpoint/json.h"

namespace birkhoff {
namespace {

constexpr const char* kNonfiniteKey = "nonfinite";
constexpr size_t kMaxLine = size_t(1) << 20;
constexpr std::pair<std::string_view, double> kNonfinite[] = {
    {"nan", std::numeric_limits<double>::quiet_NaN()},
    {"inf", std::numeric_limits<double>::infinity()},
    {"-inf", -std::numeric_limits<double>::infinity()}};

// fmt's {} of a double is the shortest text that reads back the same, in any locale, except for
// "-0", which JSON readers take for the integer 0.
std::string number(double value) {
  if (!std::isfinite(value)) return "null";
  return value == 0 && std::signbit(value) ? "-0.0" : fmt::format("{}", value);
}

class Line {
 public:
  void raw(std::string_view name, std::string_view value) {
    text_ += fmt::format("{}{}:{}", text_.empty() ? "{" : ",", json_string(name), value);
  }
  void integer(std::string_view name, int64_t value) { raw(name, fmt::format("{}", value)); }
  void time(std::string_view name, double value) { raw(name, number(value)); }
  void value(std::string_view name, double value) {
    raw(name, number(value));
    if (std::isfinite(value)) return;
    nonfinite_ += fmt::format("{}{}:\"{}\"", nonfinite_.empty() ? "{" : ",", json_string(name),
                              std::isnan(value) ? "nan"
                              : value > 0       ? "inf"
                                                : "-inf");
  }
  void load(const ExpertLoad& load) {
    if (load.empty()) return;
    std::string rows;
    for (const auto& row : load)
      rows += fmt::format("{}[{}]", rows.empty() ? "" : ",", fmt::join(row, ","));
    raw("expert_load", fmt::format("[{}]", rows));
  }
  void streams(const StreamSeries& all) {
    if (all.empty()) return;
    std::string text;
    for (const auto& [name, values] : all) {
      text += fmt::format("{}{}:[", text.empty() ? "{" : ",", json_string(name));
      for (size_t i = 0; i < values.size(); ++i)
        text += fmt::format("{}{}", i ? "," : "",
                            std::isfinite(values[i]) ? fmt::format("{:.7g}", values[i]) : "null");
      text += "]";
    }
    raw("streams", text + "}");
  }
  void end_of_values() {
    if (!nonfinite_.empty()) raw(kNonfiniteKey, nonfinite_ + "}");
  }
  std::string finish() && { return text_ + "}\n"; }

 private:
  std::string text_, nonfinite_;
};

MetricsRecord parse_record(std::string_view line) {
  const nlohmann::json tree = parse_json(line, {.bytes = kMaxLine, .depth = 4});
  JsonFields fields(tree, "line");
  MetricsRecord record;
  record.step = int64_t(fields.count("step"));
  for (const auto& [key, value] : tree.items()) {
    if (value.is_number()) record.values.emplace(key, value.get<double>());
  }
  if (!tree.contains(kNonfiniteKey)) return record;
  JsonFields nonfinite(tree.at(kNonfiniteKey), kNonfiniteKey);
  for (const auto& [key, value] : tree.at(kNonfiniteKey).items()) {
    const std::string& name = nonfinite.text(key);
    const auto* known = std::find_if(std::begin(kNonfinite), std::end(kNonfinite),
                                     [&](const auto& n) { return n.first == name; });
    if (known == std::end(kNonfinite) || !tree.contains(key) || !tree.at(key).is_null())
      throw JsonError(
          fmt::format("nonfinite.{} does not name a value that is null", printable(key)));
    record.values.emplace(key, known->second);
  }
  return record;
}

}  // namespace

std::string metrics_line(const StepMetrics& m) {
  Line line;
  line.integer("step", m.step);
  line.value("loss", m.loss);
  line.value("grad_norm", m.grad_norm);
  line.value("lr", m.lr);
  line.integer("tokens", m.tokens);
  for (const auto& [name, value] : m.extra) line.value(name, value);
  line.streams(m.streams);
  line.end_of_values();
  line.time("step_seconds", m.step_seconds);
  line.time("tokens_per_second", m.tokens_per_second);
  for (const auto& [name, value] : m.extra_times) line.time(name, value);
  return std::move(line).finish();
}

std::string metrics_line(const EvalMetrics& m) {
  Line line;
  line.integer("step", m.step);
  line.value("eval_loss", m.eval_loss);
  line.value("eval_bits_per_byte", m.eval_bits_per_byte);
  line.integer("eval_tokens", m.eval_tokens);
  for (const auto& [name, value] : m.extra) line.value(name, value);
  line.load(m.expert_load);
  line.end_of_values();
  line.time("eval_seconds", m.eval_seconds);
  return std::move(line).finish();
}

MetricsWriter::MetricsWriter(const Path& path)
    : file_(open_output(path, O_WRONLY | O_CREAT | O_APPEND), path) {
  flush_directory(path.has_parent_path() ? path.parent_path() : Path("."));
}

bool MetricsWriter::removed() const {
  struct stat s;
  return ::fstat(file_.descriptor(), &s) == 0 && s.st_nlink == 0;
}

void MetricsWriter::append(const std::string& line) { file_.write(std::as_bytes(std::span(line))); }

MetricsLog parse_metrics(std::string_view text, std::string_view place) {
  MetricsLog log;
  size_t number = 1;
  for (size_t begin = 0; begin < text.size(); ++number) {
    const size_t newline = text.find('\n', begin);
    if (newline == text.npos) {
      log.torn = true;
      break;
    }
    try {
      MetricsRecord record = parse_record(text.substr(begin, newline - begin));
      if (!log.records.empty() && record.step < log.records.back().step)
        throw JsonError(
            fmt::format("step {} comes after step {}", record.step, log.records.back().step));
      record.begin = begin, record.end = newline + 1;
      log.records.push_back(std::move(record));
    } catch (const JsonError& e) {
      throw CheckpointError(fmt::format("{}:{}: {}", printable(place), number, e.what()));
    }
    begin = newline + 1;
  }
  return log;
}

MetricsLog read_metrics(const Path& path) {
  try {
    return parse_metrics(read_file(path, std::numeric_limits<uint32_t>::max()), path.string());
  } catch (const ResourceError& e) {
    throw CheckpointError(e.what());
  }
}

CutMetrics cut_metrics(const Path& path, int64_t step) {
  std::error_code error;
  if (std::filesystem::symlink_status(path, error).type() == std::filesystem::file_type::not_found)
    return {};
  detach_hard_links(path);
  const File file(open_output(path, O_RDWR), path);
  MetricsLog log;
  try {
    log = read_metrics(path);
  } catch (const CheckpointError&) {
    Path aside;
    for (int n = 1; aside.empty() || std::filesystem::exists(aside, error); ++n)
      aside = path.string() + fmt::format(".damaged-{}", n);
    std::filesystem::rename(path, aside, error);
    if (error)
      throw ResourceError(
          fmt::format("cannot rename {}: {}", printable(path.string()), error.message()));
    return {.aside = std::move(aside)};
  }
  size_t end = 0;
  CutMetrics cut;
  for (const MetricsRecord& record : log.records) {
    if (record.step <= step) end = record.end;
    if (record.step == step && record.values.contains("eval_loss")) cut.evaluated = true;
  }
  if (file.size() != end && ::ftruncate(file.descriptor(), off_t(end)) != 0)
    throw_system_error("truncate", path);
  return cut;
}

}  // namespace birkhoff
