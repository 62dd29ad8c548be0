#pragma once
// What a disk may hold after a power cut, replayed from a recording of calls. The model is that of
// POSIX with nothing added, harsher than any one file system:
//
//   - A file's bytes and its names are things apart. Flushing a file makes its bytes durable, and
//     no name of it; flushing a directory makes durable which names it has and what they stand for,
//     and no byte of theirs.
//   - Writes to a file since its last flush are, after the cut: absent; torn, so that the first
//   half
//     of their bytes is there; zeros, where the file has its length but not yet its bytes; or
//     there.
//   - Changes of a directory since its last flush (a name made, removed, renamed) are each done or
//     not done, in any combination: nothing keeps their order. A rename within a directory is one
//     change. One between two directories is one in each.
//
// The directory that calls are relative to, and all that it held at first, is durable. A cut is
// between two calls; one within a write is that write with its bytes torn.
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/files.h"
#include "tests/faults/recording.h"

namespace birkhoff::testing {

// Path relative to the directory → contents; none: it is a directory.
using Tree = std::map<std::string, std::optional<std::string>>;

Tree read_tree(const Path& directory);
void write_tree(const Tree& tree, const Path& directory);  // an existing one, empty

class Disk {
 public:
  explicit Disk(const Tree& before = {});

  void apply(const FileCall& call);  // a failed one changes nothing

  Tree live() const;  // as processes see it: what is left when there is no cut
  // All that a cut may now leave, each once. Of more than 8 changes not yet flushed not all
  // combinations: none, all, each alone, each missing, and each prefix.
  std::vector<Tree> after_cut() const;

 private:
  using Id = size_t;  // of an inode
  struct Edit {
    bool truncate = false;
    size_t offset = 0;  // or the length
    std::string bytes = {};
  };
  using Names = std::map<std::string, Id>;
  using Change = std::map<std::string, std::optional<Id>>;  // names, and what they stand for then
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
    std::map<Id, std::vector<bool>> done;  // of each directory's changes
  };

  Id make(bool directory);
  Id find(const std::string& path) const;
  // The directory that holds, or is to hold, `path`, and its last part.
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
