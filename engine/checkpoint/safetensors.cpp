#include "engine/checkpoint/safetensors.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/error.h"
#include "engine/checkpoint/json.h"

namespace birkhoff {
namespace {

static_assert(std::endian::native == std::endian::little, "tensors are written as they lie");

constexpr std::string_view kMetadata = "__metadata__";
constexpr std::pair<std::string_view, DType> kDTypes[] = {
    {"F32", DType::f32}, {"BF16", DType::bf16}, {"I32", DType::i32},        {"I64", DType::i64},
    {"F64", DType::f64}, {"F16", DType::f16},   {"F8_E4M3", DType::f8_e4m3}};

// Accepts only the header's JSON, and fills a SafetensorsHeader directly: no tree is built, so a
// hostile header costs no more memory than its own size.
class HeaderReader : public nlohmann::json_sax<nlohmann::json> {
 public:
  HeaderReader(SafetensorsHeader& header, std::string_view file) : header_(header), file_(file) {}

  [[noreturn]] void refuse(std::string_view what) const {
    const std::string at = place_ == Place::outside || place_ == Place::names
                               ? ""
                               : fmt::format("{}: ", printable(name_));
    throw CheckpointError(fmt::format("{}: header: {}{}", printable(file_), at, what));
  }

  bool start_object(size_t) override {
    if (place_ == Place::outside)
      place_ = Place::names;
    else if ((place_ == Place::metadata || place_ == Place::tensor) && !inside_)
      inside_ = true;
    else
      refuse("an unexpected object");
    return true;
  }

  bool end_object() override {
    if (place_ == Place::tensor && seen_ != 7) refuse("dtype, shape or data_offsets is missing");
    inside_ = false;
    place_ = place_ == Place::names ? Place::outside : Place::names;
    return true;
  }

  bool key(std::string& key) override {
    if (place_ == Place::names) {
      start_entry(key);
    } else if (place_ == Place::metadata) {
      metadata_key_ = key;
      if (header_.metadata.contains(key)) refuse("duplicate key");
    } else {
      start_field(key);
    }
    return true;
  }

  bool string(std::string& value) override {
    if (place_ == Place::metadata && inside_) {
      header_.metadata.emplace(std::exchange(metadata_key_, {}), value);
    } else if (place_ == Place::tensor && field_ == 1) {
      const auto* known = std::find_if(std::begin(kDTypes), std::end(kDTypes),
                                       [&](const auto& d) { return d.first == value; });
      if (known == std::end(kDTypes))
        refuse(fmt::format("dtype '{}' is not one of F32, BF16, F16, F8_E4M3, I32, I64, F64",
                           printable(value, 20)));
      header_.tensors.back().spec.dtype = known->second;
      field_ = 0;
    } else {
      refuse("an unexpected string");
    }
    return true;
  }

  bool start_array(size_t) override {
    if (place_ != Place::tensor || (field_ != 2 && field_ != 4) || listing_)
      refuse("an unexpected list");
    listing_ = true;
    numbers_.clear();
    return true;
  }

  bool number_unsigned(uint64_t value) override {
    if (!listing_ || value > uint64_t(INT64_MAX)) refuse("an unexpected number");
    if (numbers_.size() == kMaxTensorDims) refuse("a list with too many numbers");
    numbers_.push_back(int64_t(value));
    return true;
  }

  bool end_array() override {
    SafetensorsEntry& entry = header_.tensors.back();
    if (field_ == 2) {
      entry.spec.shape = numbers_;
    } else {
      if (numbers_.size() != 2) refuse("data_offsets does not have two numbers");
      entry.begin = size_t(numbers_[0]), entry.end = size_t(numbers_[1]);
    }
    listing_ = false;
    field_ = 0;
    return true;
  }

  bool null() override { refuse("null"); }
  bool boolean(bool) override { refuse("an unexpected true or false"); }
  bool number_integer(int64_t) override { refuse("an unexpected negative number"); }
  bool number_float(double, const std::string&) override {
    refuse("an unexpected number that is not an integer");
  }
  bool binary(binary_t&) override { refuse("binary"); }
  bool parse_error(size_t at, const std::string&, const nlohmann::detail::exception&) override {
    place_ = Place::outside;
    refuse(fmt::format("invalid JSON at byte {}", 8 + at));
  }

 private:
  enum class Place { outside, names, metadata, tensor };

  void start_entry(const std::string& key) {
    name_ = key.substr(0, kMaxTensorName);
    inside_ = false;
    if (key == kMetadata) {
      place_ = Place::metadata;
      if (std::exchange(metadata_seen_, true)) refuse("duplicate key");
      return;
    }
    place_ = Place::tensor;
    if (!is_tensor_name(key)) refuse("not a valid tensor name");
    header_.tensors.push_back({.name = key, .spec = {}});
    seen_ = field_ = 0;
  }

  void start_field(const std::string& key) {
    const int field = key == "dtype" ? 1 : key == "shape" ? 2 : key == "data_offsets" ? 4 : 0;
    if (field == 0) refuse(fmt::format("unknown key '{}'", printable(key, 40)));
    if (seen_ & field) refuse(fmt::format("duplicate key '{}'", key));
    seen_ |= field;
    field_ = field;
  }

  SafetensorsHeader& header_;
  std::string_view file_;
  std::string name_, metadata_key_;
  Place place_ = Place::outside;
  bool inside_ = false, listing_ = false, metadata_seen_ = false;
  int seen_ = 0, field_ = 0;  // bits: 1 dtype, 2 shape, 4 data_offsets; field_: awaits its value
  std::vector<int64_t> numbers_;
};

// False if the size does not fit in 63 bits.
bool size_in_bytes(const TensorSpec& spec, size_t& bytes) {
  int64_t n = int64_t(size_of(spec.dtype));
  for (const int64_t dim : spec.shape) {
    if (__builtin_mul_overflow(n, dim, &n)) return false;
  }
  bytes = size_t(n);
  return true;
}

void check_places(SafetensorsHeader& header, size_t file_bytes, std::string_view file) {
  std::vector<SafetensorsEntry>& tensors = header.tensors;
  const auto refuse = [&](const SafetensorsEntry& entry, std::string_view what) {
    throw CheckpointError(
        fmt::format("{}: tensor {}: {}", printable(file), printable(entry.name), what));
  };
  std::vector<std::string_view> names;
  for (const SafetensorsEntry& e : tensors) names.push_back(e.name);
  std::sort(names.begin(), names.end());
  const auto twice = std::adjacent_find(names.begin(), names.end());
  if (twice != names.end())
    throw CheckpointError(
        fmt::format("{}: tensor {} appears twice", printable(file), printable(*twice)));

  std::sort(tensors.begin(), tensors.end(), [](const auto& a, const auto& b) {
    return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
  });
  const size_t data_bytes = file_bytes - header.bytes;
  size_t at = 0;
  for (SafetensorsEntry& e : tensors) {
    size_t bytes = 0;
    if (!size_in_bytes(e.spec, bytes)) refuse(e, "its shape is negative or too large");
    if (e.end < e.begin || e.end - e.begin != bytes)
      refuse(e, fmt::format("offsets {} to {} do not hold {}", e.begin, e.end, to_string(e.spec)));
    if (e.begin != at)
      refuse(e,
             fmt::format("starts at offset {}, but the tensor before it ends at {}", e.begin, at));
    if (e.end > data_bytes)
      refuse(e, fmt::format("ends at offset {}, but the data ends at {}", e.end, data_bytes));
    at = e.end;
    e.begin += header.bytes, e.end += header.bytes;
  }
  if (at != data_bytes)
    throw CheckpointError(fmt::format("{}: has {} bytes of data, but its tensors hold {}",
                                      printable(file), data_bytes, at));
}

}  // namespace

bool is_tensor_name(std::string_view name) {
  if (name.empty() || name.size() > kMaxTensorName) return false;
  char before = '.';
  for (const char c : name) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                        (c >= '0' && c <= '9') || c == '_' || c == '-';
    if (!letter && (c != '.' || before == '.')) return false;
    before = c;
  }
  return before != '.' && name != kMetadata;
}

std::string safetensors_header(std::span<const NamedTensor> tensors,
                               const std::map<std::string, std::string>& metadata) {
  std::string text = "{";
  const auto comma = [&] { return text.size() > 1 ? "," : ""; };
  if (!metadata.empty())
    text += fmt::format("\"{}\":{}", kMetadata, nlohmann::json(metadata).dump());
  size_t offset = 0;
  const std::string* before = nullptr;
  for (const NamedTensor& t : tensors) {
    check(is_tensor_name(t.name), "'{}' is not a valid tensor name", printable(t.name));
    check(!before || *before < t.name, "tensor {} is out of order or a duplicate", t.name);
    const auto* dtype = std::find_if(std::begin(kDTypes), std::end(kDTypes),
                                     [&](const auto& d) { return d.second == t.spec.dtype; });
    check(dtype != std::end(kDTypes), "tensor {} has no dtype", t.name);
    check(t.spec.shape.size() <= kMaxTensorDims, "tensor {} has too many dims", t.name);
    const size_t end = offset + t.spec.bytes();
    text += fmt::format(R"({}"{}":{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})", comma(),
                        t.name, dtype->first, fmt::join(t.spec.shape, ","), offset, end);
    offset = end;
    before = &t.name;
  }
  text += "}";
  text.resize((text.size() + 7) / 8 * 8, ' ');
  const uint64_t length = text.size();
  std::string header(sizeof length, '\0');
  std::memcpy(header.data(), &length, sizeof length);
  return header + text;
}

size_t safetensors_header_bytes(std::span<const std::byte> start, size_t file_bytes,
                                std::string_view file) {
  uint64_t length = 0;
  if (start.size() < sizeof length || file_bytes < sizeof length)
    throw CheckpointError(fmt::format("{}: has {} bytes, too few for a safetensors file",
                                      printable(file), std::min(start.size(), file_bytes)));
  std::memcpy(&length, start.data(), sizeof length);
  if (length > kMaxSafetensorsHeader || length > file_bytes - sizeof length)
    throw CheckpointError(
        fmt::format("{}: a header of {} bytes does not fit a file of {} (limit {})",
                    printable(file), length, file_bytes, kMaxSafetensorsHeader));
  return sizeof length + size_t(length);
}

SafetensorsHeader parse_safetensors(std::span<const std::byte> bytes, size_t file_bytes,
                                    std::string_view file) {
  SafetensorsHeader header;
  header.bytes = safetensors_header_bytes(bytes, file_bytes, file);
  check(header.bytes == bytes.size(), "{}: a header of {} bytes was given, but it has {}", file,
        bytes.size(), header.bytes);
  const char* text = reinterpret_cast<const char*>(bytes.data());
  HeaderReader reader(header, file);
  if (bytes.size() < 10 || text[8] != '{') reader.refuse("does not start with '{'");
  try {
    refuse_nul({text + 8, bytes.size() - 8});
  } catch (const JsonError& e) {
    reader.refuse(e.what());
  }
  nlohmann::json::sax_parse(text + 8, text + bytes.size(), &reader);
  check_places(header, file_bytes, file);
  return header;
}

}  // namespace birkhoff
