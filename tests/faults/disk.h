#pragma once
// Replays a recording of calls and derives what a disk may hold after a power cut. The model is
// that of POSIX with nothing added, harsher than any one file system:
//
//   - A file's bytes and its names are independent. Flushing a file makes its bytes durable, but
//     none of its names. Flushing a directory makes durable which names it has and what they refer
//     to, but no bytes of those files.
//   - After the cut, writes to a file since its last flush are absent; torn (only the first half of
//     their bytes is there); zeros (the file has its length, but not yet its bytes); or there.
//   - Each change of a directory since its last flush (a name made, removed, renamed) is done or
//   not
//     done, in any combination, since nothing keeps their order. A rename within a directory is one
//     change. A rename between two directories is one change in each.
//
// The directory that calls are relative to, and all that it held at first, is durable. A cut falls
// between two calls; a cut within a write is the same as that write with its bytes torn.
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/files.h"
#include "tests/faults/recording.h"

namespace birkhoff::testing {

// Path relative to the directory → contents; nullopt for a directory.
using Tree = std::map<std::string, std::optional<std::string>>;

Tree read_tree(const Path& directory);
void write_tree(const Tree& tree, const Path& directory);  // which must exist and be empty

class Disk {
 public:
  explicit Disk(const Tree& before = {});

  void apply(const FileCall& call);  // a failed call changes nothing

  Tree live() const;  // as processes see it, without a cut
  // All states that a cut may leave now, each once. With more than 8 unflushed changes, only these
  // combinations: none, all, each alone, each missing, and each prefix.
  std::vector<Tree> after_cut() const;

 private:
  using Id = size_t;  // index of an inode
  struct Edit {
    bool truncate = false;
    size_t offset = 0;  // of the write, or the new length
    std::string bytes = {};
  };
  using Names = std::map<std::string, Id>;
  using Change = std::map<std::string, std::optional<Id>>;  // names, and what they then refer to
  struct Inode {
    bool directory = false;
    std::string flushed;
    std::vector<Edit> edits;  // since the flush
    Names names, live_names;
    std::vector<Change> changes;
  };
  enum class Unflushed { absent, torn, zeros, there };
  struct Cut {
    Unflushed bytes = Unflushed::absent;
    std::map<Id, std::vector<bool>> done;  // for each directory, which of its changes
  };

  Id make(bool directory);
  Id find(const std::string& path) const;
  // The directory that holds, or will hold, `path`, and the last part of the path.
  std::pair<Id, std::string> place(const std::string& path) const;
  void change(Id directory, const Change& change);
  void rename(const std::string& from, const std::string& to);
  std::map<Id, size_t> unflushed_changes() const;
  static std::string contents(const Inode& file, Unflushed bytes);
  Names names_after(Id directory, const Cut& cut) const;
  void collect(Id directory, const std::string& prefix, const Cut* cut, Tree& tree) const;

  std::vector<Inode> inodes_;  // 0: the directory itself
};

}  // namespace birkhoff::testing
