#include <nlohmann/json.hpp>

#include "engine/config/field.h"
#include "engine/config/fields.h"
#include "engine/train/bench_report.h"
#include "engine/train/operator_kinds.h"

namespace birkhoff {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kFormat = "birkhoff bench ";  // followed by the format's version

Json json_of(const PeakRates& l) {
  return {{"copy", l.copy},     {"copy_streaming", l.copy_streaming},
          {"read", l.read},     {"sweep", l.sweep},
          {"f32_flops", l.f32}, {"bf16_flops", l.bf16 > 0 ? Json(l.bf16) : Json()}};
}

Json json_of(const MeasuredPeakRates& l) {
  return {{"one_thread", json_of(l.one)}, {"all_threads", json_of(l.all)}};
}

Json times_of(const std::vector<double>& seconds) {
  return {{"seconds", seconds},
          {"median", median(seconds)},
          {"min", *std::min_element(seconds.begin(), seconds.end())}};
}

Json operators_of(const StepTimes& times, const PeakRates& limits) {
  Json all = Json::array();
  for (const OperatorRow* row : by_time(times)) {
    const OperatorSummary s = summary_of(*row, times, limits);
    all.push_back({{"operator", row->op->name},
                   {"shapes", row->shapes},
                   {"desc", row->desc},
                   {"calls", s.calls},
                   {"median", s.median},
                   {"min", s.least},
                   {"step_seconds", s.step_seconds},
                   {"share", s.share},
                   {"flops", s.flops},
                   {"bytes", s.bytes},
                   {"planned_flops", row->planned.flops},
                   {"planned_bytes", row->planned.bytes},
                   {"peak", row->bf16_factors && limits.bf16 > 0 ? "bf16" : "f32"},
                   {"floor", s.floor},
                   {"bound", s.memory_bound ? "memory" : "arithmetic"},
                   {"share_of_floor", s.floor / s.median},
                   {"streams", is_of_streams(*row->op)}});
  }
  return all;
}

Json json_of(const GroupSummary& g) {
  return {{"seconds", g.seconds}, {"flops", g.flops}, {"share_of_peak", g.share_of_peak}};
}

Json json_of(const PassSummary& s, const char* roof) {
  return {{"seconds", s.seconds}, {"bytes", s.bytes},         {"bandwidth", s.bandwidth},
          {"roof", roof},         {"share_of_roof", s.share}, {"share_range", {s.least, s.most}}};
}

void add_streams(const BenchResult& r, Json& j) {
  if (r.config.model.residual == ResidualKind::plain) return;
  const StreamsSummary s = streams_of(r);
  j["mhc_fraction"] = s.fraction;
  Json m = {{"seconds", s.seconds}, {"fraction_range", {s.least, s.most}}};
  if (r.plain) {
    m["fraction_of_plain_step"] = s.of_plain;
    m["alternations"] = r.plain->seconds.size();
    m["whole_step_difference"] = {{"note", "noise as far as it scatters"},
                                  {"median", s.whole},
                                  {"range", {s.whole_least, s.whole_most}}};
  } else {
    m["no_plain"] = r.no_plain;
  }
  j["mhc"] = std::move(m);
  j["plain"] = r.plain ? times_of(r.plain->seconds) : Json();
  if (r.plain) j["plain"]["operators"] = operators_of(*r.plain, r.limits());
}

Json config_of(Config config) {
  Json j;
  for (const Field& field : fields_of(config)) j[field.key] = value_text(field);
  return j;
}

}  // namespace

std::string to_json(const BenchResult& r, const std::string& config_file) {
  Json j;
  j["format"] = fmt::format("{}1", kFormat);
  j["version"] = BIRKHOFF_VERSION;
  j["config_file"] = config_file;
  j["config"] = config_of(r.config);
  j["machine"] = {{"cpu", r.machine.cpu},     {"cores", r.machine.cores},
                  {"threads", r.threads},     {"l1_bytes", r.machine.l1},
                  {"l2_bytes", r.machine.l2}, {"l3_bytes", r.machine.l3}};
  const MeasuredPeakRates used{.one = better_of(r.before.one, r.after.one), .all = r.limits()};
  j["limits"] = {{"array_bytes", r.array_bytes}, {"beyond_l3", beyond_cache(r)},
                 {"before", json_of(r.before)},  {"after", json_of(r.after)},
                 {"used", json_of(used)},        {"beside_steps", Json::array()}};
  for (const Bandwidths& b : r.step.beside)
    j["limits"]["beside_steps"].push_back(
        {{"copy_streaming", b.copy_streaming}, {"sweep", b.sweep}});
  const double step = median(r.step.seconds);
  j["warm_up"] = BenchOptions::kWarmUp;
  j["steps"] = r.step.seconds.size();
  j["step"] = times_of(r.step.seconds);
  j["step"]["tokens"] = r.tokens();
  j["step"]["tokens_per_second"] = double(r.tokens()) / step;
  j["step"]["further_round_calls"] = r.step.further_rounds;
  const ModelSummary m = model_of(r);
  j["model"] = {{"parameters", r.parameters.total},
                {"active", r.parameters.active},
                {"flops", m.flops},
                {"peak", m.bf16 ? "bf16" : "f32"},
                {"share_of_peak", m.share_of_peak}};
  j["matrix_products"] = json_of(group_of(r, is_matrix_product));
  j["attention"] = json_of(group_of(r, is_attention));
  j["adamw"] = json_of(update_of(r), "sweep");
  const PassSummary closes = closes_of(r);
  if (closes.exists()) j["mhc_close"] = json_of(closes, "copy_streaming");
  add_streams(r, j);
  if (!r.scaling.empty()) j["scaling"] = Json::array();
  for (const ScalingPoint& point : r.scaling) {
    j["scaling"].push_back(times_of(point.seconds));
    j["scaling"].back()["threads"] = point.threads;
  }
  j["operators"] = operators_of(r.step, r.limits());
  return j.dump(1) + "\n";
}

bool is_bench_json(std::string_view text) {
  const nlohmann::json j = nlohmann::json::parse(text.begin(), text.end(), nullptr, false);
  const auto format = j.is_object() ? j.find("format") : j.end();
  return format != j.end() && format->is_string() &&
         format->get_ref<const std::string&>().starts_with(kFormat);
}

}  // namespace birkhoff
