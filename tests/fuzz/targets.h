#pragma once
// Every parser of untrusted bytes as a function of bytes, for the fuzzer (fuzzer.cpp) and for the
// test that feeds it the corpus (corpus_test.cpp). A target checks more than that nothing crashes:
//
//   refused    with the format's own exception, in lines of printable ASCII of bounded length
//   accepted   only if an independent, slow parser accepts it too, where one exists; and what the
//              project's writer writes from it reads back as equal
//   memory     at most base + factor · bytes of the input, including all that the target does
//
// A violation is a PropertyError: a bug of the parser or of the target.
#include <span>
#include <stdexcept>
#include <string_view>

#include "base/format.h"

namespace birkhoff::fuzz {

class PropertyError : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

template <class... A>
void require(bool holds, fmt::format_string<A...> text, A&&... args) {
  if (!holds) throw PropertyError(fmt::format(text, std::forward<A>(args)...));
}

// Each returns whether it accepts its input. If the bytes are not just the file, they are:
bool config(std::string_view bytes);       // YAML, then overrides, each after a byte 0xFF
bool safetensors(std::string_view bytes);  // u64 size of the file | its length and header
bool manifest(std::string_view bytes);     // of a checkpoint; its hash is corrected first
bool index(std::string_view bytes);        // u64 size of PREFIX.bin | PREFIX.idx
bool dataset(std::string_view bytes);      // PREFIX.json
bool metrics(std::string_view bytes);
bool hf_config(std::string_view bytes);      // another project's config.json
bool hf_index(std::string_view bytes);       // model.safetensors.index.json
bool hf_generation(std::string_view bytes);  // another project's generation_config.json
bool tokenizer(std::string_view bytes);      // another project's tokenizer.json
bool documents(std::string_view bytes);      // u8 how to split | input of `data prepare`
bool token_list(std::string_view bytes);     // input of `score --tokens`

struct Target {
  std::string_view name;
  bool (*run)(std::string_view bytes);
  size_t base, factor;  // memory bound
};
std::span<const Target> targets();
const Target& target(std::string_view name);  // throws std::out_of_range

// Runs the target and checks its memory bound.
bool run(const Target& target, std::string_view bytes);

// Checks an exception's message: lines of printable ASCII, none empty or longer than 5,000 bytes.
void require_message(std::string_view what, size_t lines = 1);

// Whether `parse` returns. If it throws an E, checks its message; other exceptions pass through.
template <class E, class F>
bool accepts(F&& parse, size_t lines = 1) {
  try {
    parse();
    return true;
  } catch (const E& e) {
    require_message(e.what(), lines);
    return false;
  }
}

}  // namespace birkhoff::fuzz
