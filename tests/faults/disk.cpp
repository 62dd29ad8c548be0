#include "tests/faults/disk.h"

#include <algorithm>
#include <set>

#include "base/error.h"
#include "tests/support/scratch.h"

namespace birkhoff::testing {
namespace {

constexpr size_t kAllCombinations = 8;  // up to so many changes, all combinations: 256

// Sets of changes, out of `n`, that may be done.
std::vector<std::vector<bool>> combinations(size_t n) {
  std::set<std::vector<bool>> found;
  if (n <= kAllCombinations) {
    for (size_t bits = 0; bits < size_t(1) << n; ++bits) {
      std::vector<bool> done(n);
      for (size_t i = 0; i < n; ++i) done[i] = bits >> i & 1;
      found.insert(done);
    }
  } else {
    for (size_t i = 0; i <= n; ++i) {
      std::vector<bool> prefix(n), alone(n), missing(n, true);
      std::fill_n(prefix.begin(), i, true);
      if (i < n) alone[i] = true, missing[i] = false;
      found.insert({prefix, alone, missing});
    }
  }
  return {found.begin(), found.end()};
}

}  // namespace

Tree read_tree(const Path& directory) {
  Tree tree;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory)) {
    const std::string name = std::filesystem::relative(entry.path(), directory).string();
    tree[name] = entry.is_directory() ? std::nullopt : std::optional(slurp(entry.path()));
  }
  return tree;
}

void write_tree(const Tree& tree, const Path& directory) {
  for (const auto& [name, contents] : tree) {  // a directory comes before what it holds
    if (contents)
      spill(directory / name, *contents);
    else
      std::filesystem::create_directory(directory / name);
  }
}

Disk::Disk(const Tree& before) {
  make(true);
  for (const auto& [path, contents] : before) {
    const auto [directory, name] = place(path);
    const Id id = make(!contents);
    inodes_[id].flushed = contents.value_or("");
    inodes_[directory].names[name] = inodes_[directory].live_names[name] = id;
  }
}

Disk::Id Disk::make(bool directory) {
  inodes_.emplace_back().directory = directory;
  return inodes_.size() - 1;
}

std::pair<Disk::Id, std::string> Disk::place(const std::string& path) const {
  const size_t slash = path.rfind('/');
  if (slash == path.npos) return {0, path};
  return {find(path.substr(0, slash)), path.substr(slash + 1)};
}

Disk::Id Disk::find(const std::string& path) const {
  if (path == ".") return 0;
  const auto [directory, name] = place(path);
  const auto at = inodes_[directory].live_names.find(name);
  check(at != inodes_[directory].live_names.end(), "the replay has no {}", path);
  return at->second;
}

void Disk::change(Id directory, const Change& change) {
  Inode& d = inodes_[directory];
  for (const auto& [name, id] : change) {
    if (id)
      d.live_names[name] = *id;
    else
      d.live_names.erase(name);
  }
  d.changes.push_back(change);
}

void Disk::rename(const std::string& from, const std::string& to) {
  const Id id = find(from);
  const auto [source, old_name] = place(from);
  const auto [target, new_name] = place(to);
  if (source == target) {
    change(source, {{old_name, std::nullopt}, {new_name, id}});
  } else {
    change(source, {{old_name, std::nullopt}});
    change(target, {{new_name, id}});
  }
}

void Disk::apply(const FileCall& call) {
  const std::string& op = call.operation;
  if (call.result < 0 || op == "open" || op == "close") return;
  if (op == "rename") return rename(call.path, call.second);
  if (op == "create" || op == "mkdir") {
    const auto [directory, name] = place(call.path);
    change(directory, {{name, make(op == "mkdir")}});
  } else if (op == "link") {
    const auto [directory, name] = place(call.second);
    change(directory, {{name, find(call.path)}});
  } else if (op == "unlink" || op == "rmdir") {
    const auto [directory, name] = place(call.path);
    change(directory, {{name, std::nullopt}});
  } else if (op == "write") {
    inodes_[find(call.path)].edits.push_back({.offset = call.offset, .bytes = call.bytes});
  } else if (op == "truncate" || op == "cut") {
    inodes_[find(call.path)].edits.push_back({.truncate = true, .offset = call.offset});
  } else if (op == "flush") {
    Inode& inode = inodes_[find(call.path)];
    inode.flushed = contents(inode, Unflushed::there);
    inode.edits.clear();
    inode.names = inode.live_names;
    inode.changes.clear();
  } else {
    check(false, "the replay knows no {}", op);
  }
}

std::string Disk::contents(const Inode& file, Unflushed bytes) {
  std::string text = file.flushed;
  if (bytes == Unflushed::absent) return text;
  size_t left = 0;  // bytes that arrive
  for (const Edit& edit : file.edits) left += edit.bytes.size();
  if (bytes == Unflushed::torn) left /= 2;
  for (const Edit& edit : file.edits) {
    if (edit.truncate) {
      text.resize(edit.offset);
      continue;
    }
    const size_t count = std::min(left, edit.bytes.size());
    if (count < 1) continue;
    left -= count;
    text.resize(std::max(text.size(), edit.offset + count));
    if (bytes != Unflushed::zeros)
      text.replace(edit.offset, count, edit.bytes, 0, count);
    else
      text.replace(edit.offset, count, count, '\0');
  }
  return text;
}

Disk::Names Disk::names_after(Id directory, const Cut& cut) const {
  Names names = inodes_[directory].names;
  const auto done = cut.done.find(directory);
  if (done == cut.done.end()) return names;
  for (size_t i = 0; i < done->second.size(); ++i) {
    if (!done->second[i]) continue;
    for (const auto& [name, id] : inodes_[directory].changes[i]) {
      if (id)
        names[name] = *id;
      else
        names.erase(name);
    }
  }
  return names;
}

void Disk::collect(Id directory, const std::string& prefix, const Cut* cut, Tree& tree) const {
  for (const auto& [name, id] :
       cut ? names_after(directory, *cut) : inodes_[directory].live_names) {
    const Inode& inode = inodes_[id];
    const std::string path = prefix + name;
    if (inode.directory) {
      tree[path] = std::nullopt;
      collect(id, path + "/", cut, tree);
    } else {
      tree[path] = contents(inode, cut ? cut->bytes : Unflushed::there);
    }
  }
}

Tree Disk::live() const {
  Tree tree;
  collect(0, "", nullptr, tree);
  return tree;
}

// Number of unflushed changes of each directory that a name leads to, now or after some cut.
std::map<Disk::Id, size_t> Disk::unflushed_changes() const {
  std::map<Id, size_t> found;
  std::set<Id> seen = {0};
  std::vector<Id> open = {0};
  const auto reach = [&](Id id) {
    if (inodes_[id].directory && seen.insert(id).second) open.push_back(id);
  };
  while (!open.empty()) {
    const Id id = open.back();
    open.pop_back();
    const Inode& directory = inodes_[id];
    if (!directory.changes.empty()) found[id] = directory.changes.size();
    for (const auto& [name, child] : directory.names) reach(child);
    for (const Change& change : directory.changes) {
      for (const auto& [name, child] : change) {
        if (child) reach(*child);
      }
    }
  }
  return found;
}

std::vector<Tree> Disk::after_cut() const {
  const std::map<Id, size_t> changes = unflushed_changes();
  size_t count = 0;
  for (const auto& [id, n] : changes) count += n;
  std::set<Tree> trees;
  for (const std::vector<bool>& done : combinations(count)) {
    Cut cut;
    auto next = done.begin();
    for (const auto& [id, n] : changes) {
      cut.done[id].assign(next, next + std::ptrdiff_t(n));
      next += std::ptrdiff_t(n);
    }
    for (const auto bytes :
         {Unflushed::absent, Unflushed::torn, Unflushed::zeros, Unflushed::there}) {
      cut.bytes = bytes;
      Tree tree;
      collect(0, "", &cut, tree);
      trees.insert(std::move(tree));
    }
  }
  return {trees.begin(), trees.end()};
}

}  // namespace birkhoff::testing
