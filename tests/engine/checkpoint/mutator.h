#pragma once
// What can happen to a saved checkpoint, one thing at a time, and how to undo it.
#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "tests/engine/checkpoint/sample.h"

namespace birkhoff::testing {

// A checkpoint of three ranks, of step 100, and one of step 200 with the same tensors and another
// tokenizer.json.
class Mutator {
 public:
  Mutator() {
    SampleTensors sample;
    const SaveOptions options{.shard_bytes = 100, .chunk_bytes = 64};
    CheckpointInfo info = sample_info();
    info.tokenizer = sample_tokenizer(sample_tokenizer_json());
    save_by_ranks(path(), info, sample.ranks(), options, sample_tokenizer_json());
    info.step = 200;
    info.tokenizer = sample_tokenizer(sample_tokenizer_json("A"));
    save_by_ranks(scratch_ / "step-00000200", info, sample.ranks(), options,
                  sample_tokenizer_json("A"));
    for (const std::string& name : Directory(path()).names()) files_[name] = slurp(path() / name);
    manifest_ = Checkpoint::open(path()).manifest();
  }

  Path path() const { return scratch_ / "step-00000100"; }
  const std::string& bytes(const std::string& name) const { return files_.at(name); }

  // Changes something; returns texts of which the refusal must contain one.
  std::vector<std::string> change(Dice& dice) {
    std::vector<std::string> names;
    for (const auto& [name, bytes] : files_) names.push_back(name);
    const std::string& name = names[size_t(dice.below(int64_t(names.size())))];
    const std::string& other = names[size_t(dice.below(int64_t(names.size())))];
    changed_ = {name};
    switch (dice.below(12)) {
      case 0:  // two files swapped, of ranks, of parts, or with the manifest
        changed_ = {name, other};
        spill(path() / name, files_[other]);
        spill(path() / other, files_[name]);
        break;
      case 1:  // a file of another step; its length may be the same
        spill(path() / name, slurp(scratch_ / "step-00000200" / name));
        break;
      case 2:  // a file that has another name now
        changed_ = {name, shard_name(int(dice.from_to(3, 9999)), 0)};
        std::filesystem::rename(path() / name, path() / changed_[1]);
        break;
      default:
        return change_bytes(dice, name);
    }
    return changed_;
  }

  bool unchanged() const {
    return std::all_of(changed_.begin(), changed_.end(), [&](const std::string& name) {
      return files_.contains(name) && std::filesystem::exists(path() / name) &&
             slurp(path() / name) == files_.at(name);
    });
  }

  void restore() {
    for (const std::string& name : changed_) {
      std::filesystem::remove(path() / name);
      if (files_.contains(name)) spill(path() / name, files_.at(name));
    }
  }

 private:
  // A flipped bit, a cut, inserted or removed bytes, a run of zeros.
  std::vector<std::string> change_bytes(Dice& dice, const std::string& name) {
    std::string bytes = files_[name];
    const size_t at = size_t(dice.below(int64_t(bytes.size())));
    switch (dice.below(8)) {
      case 0:
        bytes.resize(at);
        break;
      case 1:
        bytes.insert(at, 1, char(dice.below(256)));
        break;
      case 2:
        bytes.erase(at, size_t(dice.from_to(1, 16)));
        break;
      case 3:
        for (size_t i = at; i < std::min(at + 16, bytes.size()); ++i) bytes[i] = '\0';
        break;
      default:
        bytes[at] = char(bytes[at] ^ (1 << dice.below(8)));
        spill(path() / name, bytes);
        return {named(name, at)};
    }
    spill(path() / name, bytes);
    return {name};
  }

  // How a refusal names a byte: by file, and by tensor and range if it belongs to a tensor.
  std::string named(const std::string& name, size_t at) const {
    for (const StoredTensor& t : manifest_.tensors) {
      for (const StoredPiece& p : t.pieces) {
        if (p.file != name || at < p.begin || at >= p.end) continue;
        const size_t begin = p.begin + (at - p.begin) / 64 * 64;
        return fmt::format("{}: tensor {}, bytes {} to {}:", name, t.name, begin,
                           std::min(begin + 64, p.end));
      }
    }
    return name;
  }

  Scratch scratch_;
  std::map<std::string, std::string> files_;
  Manifest manifest_;
  std::vector<std::string> changed_;
};

}  // namespace birkhoff::testing
