// .gitignore: the rules of one file, and the chain of them along the directories of a path.
// Immutable once made; any thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace rustic::files {

enum class ignore_verdict { none, ignored, kept };

// The lines of one .gitignore. Lines that git would not understand match nothing.
class ignore_rules {
 public:
  static ignore_rules parse(std::string_view text);
  // `path` is relative to the directory of the file. Does not look at the directories above it:
  // a walk that leaves out an ignored directory needs no more.
  ignore_verdict match(std::string_view path, bool directory) const;
  bool empty() const { return rules_.empty(); }

 private:
  enum class form { name, suffix, wildcard_name, wildcard_path };
  struct rule {
    std::string pattern;
    form how = form::name;
    bool negated = false;
    bool directories_only = false;
  };
  std::vector<rule> rules_;
};

// The rules that hold in one directory: its own before those of the directories above.
class ignore_chain {
 public:
  // `base`: the directory of the rules, relative to where all the paths start; "" is the start.
  static std::shared_ptr<const ignore_chain> extend(std::shared_ptr<const ignore_chain> above,
                                                    std::string base, ignore_rules rules);
  bool ignores(std::string_view path, bool directory) const;

 private:
  std::shared_ptr<const ignore_chain> above_;
  std::string base_;
  ignore_rules rules_;
};

// Adds the rules that the open directory `fd` brings: its .gitignore and, at the top of a
// repository (where the chain starts anew), .git/info/exclude.
std::shared_ptr<const ignore_chain> extend_from_directory(std::shared_ptr<const ignore_chain> above,
                                                          int fd, const std::string& base);

}  // namespace rustic::files
