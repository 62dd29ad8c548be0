// Names of files in a manifest, as an attacker would choose them: they are refused, and nothing
// outside the checkpoint's directory is even opened. The kernel reports this (inotify), not the
// code.
#include <gmock/gmock.h>
#include <sys/inotify.h>

#include <random>
#include <set>

#include "base/hash.h"
#include "engine/checkpoint/json.h"
#include "tests/engine/checkpoint/sample.h"

namespace birkhoff {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::refusal;
using testing::Scratch;
using testing::slurp;
using testing::spill;

constexpr const char* kStep = "step-00000100";

// Watches which files are opened in some directories.
class Watch {
 public:
  void add(const Path& directory) {
    ASSERT_GE(::inotify_add_watch(queue_.get(), directory.c_str(), IN_OPEN), 0) << directory;
  }
  // Names since the last call, each once.
  std::set<std::string> opened() {
    std::set<std::string> names;
    alignas(inotify_event) char buffer[1 << 16];
    for (ssize_t n; (n = ::read(queue_.get(), buffer, sizeof buffer)) > 0;) {
      for (ssize_t at = 0; at < n;) {
        const auto* event = reinterpret_cast<const inotify_event*>(buffer + at);
        EXPECT_EQ(event->mask & IN_Q_OVERFLOW, 0u);
        if (event->len > 0) names.insert(event->name);  // else the directory itself
        at += ssize_t(sizeof *event + event->len);
      }
    }
    return names;
  }

 private:
  Descriptor queue_{::inotify_init1(IN_NONBLOCK | IN_CLOEXEC)};
};

class Attacker {
 public:
  explicit Attacker(const Path& outside) : outside_(outside) {}

  // A random name that is not a shard's.
  std::string name() {
    for (;;) {
      std::string name = attempt();
      if (!is_shard_name(name)) return name;
    }
  }

 private:
  size_t below(size_t n) { return random_() % n; }
  std::string one_of(const std::vector<std::string>& all) { return all[below(all.size())]; }
  std::string shard() { return shard_name(int(below(3)), int(below(3))); }
  std::string target() {
    return one_of({shard(), "canary", "beside/canary", "manifest.json", "../canary"});
  }

  std::string attempt() {
    std::string name = shard();
    switch (below(10)) {
      case 0:
        return dots() + target();
      case 1:
        return one_of({"", "/", "//", "/./"}) + outside_.string() + "/" + target();
      case 2:
        return name.insert(below(name.size() + 1), 1, '\0') + one_of({"", "x", "\0"});
      case 3:
        return one_of({"/dev/null", "/dev/zero", "/dev/stdin", "/proc/self/mem", "/proc/self/fd/0",
                       "CON", "NUL", "COM1", "AUX.safetensors", name + ":stream", "~", "$HOME",
                       "file://" + name, "-", "--", "|cat", "`id`"});
      case 4:
        return overlong();
      case 5:
        return look_alike(name);
      case 6:
        return one_of({"", ".", "..", "...", " ", "/", "//", "./", "../", "\\", "link", "sub"});
      case 7:
        return one_of({"..\\", "..%2f", "%2e%2e/", "..\xC0\xAF", "\xC0\xAE\xC0\xAE/", "..;/",
                       "sub/../../", "./", "sub/", "link/"}) +
               target();
      case 8:
        name[below(name.size())] = char(below(256));
        return name;
      default:
        return decorated(name);
    }
  }

  std::string dots() {
    std::string path;
    for (size_t n = 1 + below(6); n > 0; --n)
      path += one_of({"../", "./", "sub/", "..//", "link/"});
    return path;
  }

  std::string overlong() {
    std::string name = one_of({"a", "../", "/", "\xEF\xBC\x8F", shard()});
    const size_t length = 256 + below(6000);
    std::string all;
    while (all.size() < length) all += name;
    return all + target();
  }

  // Characters that look like those of a name, or like nothing.
  std::string look_alike(std::string name) {
    const std::string sign = one_of({"\xEF\xBC\x90", "\xE2\x80\xA4", "\xE2\x88\x95", "\xEF\xBC\x8F",
                                     "\xE2\x80\x8B", "\xE2\x80\xAE", "\xCC\x81", "\xD0\xB0",
                                     "\xE2\x80\x90", "\xEF\xBB\xBF", "\xF0\x9F\x92\xA3"});
    return name.replace(below(name.size()), below(2), sign);
  }

  std::string decorated(std::string name) {
    const std::string odd = one_of(
        {"\n", "\r", "\t", " ", "\x1b[31m", "\x7f", "\x01", "/", "/.", ".", "\"", "'", "\\"});
    if (below(4) == 0) name[0] = 'R';
    return below(2) == 0 ? name + odd : odd + name;
  }

  Path outside_;
  std::mt19937_64 random_{20261123};
};

class HostileNames : public ::testing::Test {
 protected:
  HostileNames() {
    save_checkpoint(path_, testing::sample_info(), sample_.named(),
                    {.shard_bytes = 100, .chunk_bytes = 64});
    text_ = slurp(path_ / "manifest.json");
    for (const std::string& name : Directory(path_).names()) own_.insert(name);
    // What the names aim at: the same shards everywhere, so that a file opened by mistake would
    // fit.
    std::filesystem::create_directories(scratch_ / "beside");
    std::filesystem::create_directories(path_ / "sub");
    for (const Path& folder :
         {scratch_.path(), scratch_ / "beside", scratch_ / "run", path_ / "sub"}) {
      for (const std::string& name : own_) std::filesystem::copy_file(path_ / name, folder / name);
      spill(folder / "canary", "outside");
    }
    std::filesystem::create_directory_symlink(scratch_ / "beside", path_ / "link");
    for (const Path& folder :
         {scratch_.path(), scratch_ / "beside", scratch_ / "run", path_ / "sub"})
      outside_.add(folder);
    inside_.add(path_);
  }

  // Where the manifest names a shard: the offset of the name, and the field.
  std::vector<std::pair<size_t, std::string>> places() const {
    std::vector<std::pair<size_t, std::string>> found;
    for (size_t at = 0; (at = text_.find("\"rank-", at)) != std::string::npos; ++at) {
      const size_t key_end = text_.rfind("\": ", at), key = text_.rfind('"', key_end - 1) + 1;
      found.emplace_back(at + 1, text_.substr(key, key_end - key));
    }
    return found;
  }

  // The manifest with another name at that offset, and the hash that belongs to it.
  std::string forged(size_t at, const std::string& name) const {
    std::string quoted = json_string(name);
    if (utf8(name) != name) quoted = "\"" + name + "\"";  // bytes that are no UTF-8, as they are
    std::string text = text_;
    text.replace(at - 1, shard_name(0, 0).size() + 2, quoted);
    text.resize(text.find("\"manifest_hash\""));
    const std::string hash = hash128(std::as_bytes(std::span(text)));
    return text + "\"manifest_hash\": \"" + hash + "\"\n}\n";
  }

  // Files that were opened in the checkpoint and are not its own, and files opened outside of it.
  std::vector<std::string> strangers() {
    std::vector<std::string> names;
    for (const std::string& name : inside_.opened())
      if (!own_.contains(name)) names.push_back(name);
    for (const std::string& name : outside_.opened())
      if (name != kStep) names.push_back("outside: " + name);
    return names;
  }

  testing::SampleTensors sample_;
  Scratch scratch_;
  Path path_ = scratch_ / "run" / kStep;
  std::string text_;
  std::set<std::string> own_;
  Watch outside_, inside_;
};

TEST_F(HostileNames, TheWatchSees) {
  ASSERT_EQ(refusal([&] { Checkpoint::open(path_).verify(); }), "accepted");
  EXPECT_THAT(strangers(), IsEmpty());
  slurp(path_ / "link" / "canary");
  EXPECT_THAT(strangers(), ::testing::Contains("outside: canary"));
  slurp(scratch_ / shard_name(0, 0));
  EXPECT_THAT(strangers(), ::testing::ElementsAre("outside: " + shard_name(0, 0)));
}

TEST_F(HostileNames, TenThousandAreRefusedAndNeverOpened) {
  const auto at = places();
  ASSERT_GT(at.size(), 3u);
  Attacker attacker(scratch_.path());
  for (size_t trial = 0; trial < 10'000; ++trial) {
    const std::string name = attacker.name();
    const auto& [place, field] = at[trial % at.size()];
    spill(path_ / "manifest.json", forged(place, name));
    // Invalid UTF-8 is refused by the JSON parser, before the field is known.
    const std::string says = utf8(name) == name ? field : "is not valid JSON";
    ASSERT_THAT(refusal([&] { Checkpoint::open(path_); }),
                AllOf(HasSubstr("manifest.json: "), HasSubstr(says)))
        << "trial " << trial << ": " << printable(name);
    ASSERT_THAT(strangers(), IsEmpty()) << "trial " << trial << ": " << printable(name);
  }
}

// The names are right, but the files are links to the same bytes outside the directory.
TEST_F(HostileNames, LinksAreNotFollowed) {
  for (const std::string& name : own_) {
    std::filesystem::rename(path_ / name, scratch_ / "aside");
    std::filesystem::create_symlink(scratch_ / "beside" / name, path_ / name);
    strangers();
    EXPECT_THAT(refusal([&] { Checkpoint::open(path_).verify(); }), HasSubstr(name));
    EXPECT_THAT(strangers(), IsEmpty()) << name;
    std::filesystem::remove(path_ / name);
    std::filesystem::rename(scratch_ / "aside", path_ / name);
  }
}

}  // namespace
}  // namespace birkhoff
