// The file tools: read, write, edit, list, glob and grep inside a workspace and its roots.
//
// One object serves every session. It keeps what each session has read (bounded) and nothing else.
// Threads: every operation may run on any thread, concurrently; changes of one file are serialised.
// Errors: an operation that cannot do its work returns success false and an error that tells the
// model what to do; it does not throw, except for lack of memory.
#pragma once

#include <array>
#include <boost/json/object.hpp>
#include <cstddef>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "failure.hpp"
#include "file_access.hpp"
#include "limits.hpp"
#include "path_scope.hpp"
#include "seen_files.hpp"
#include "text_edit.hpp"
#include "withheld.hpp"

namespace rustic::files {

// Where and for whom an operation runs.
struct call_scope {
  std::string session;
  std::string workspace;           // absolute; relative paths start here
  std::vector<std::string> roots;  // absolute, besides the workspace
  withheld_paths withheld = {};    // neither shown nor changed
  cancel_check cancelled = {};     // polled often, from the calling thread; empty: never
};

struct tool_result {
  bool success = false;
  std::string output;
  std::string error;  // empty when success
  boost::json::object metadata;
  bool cancelled = false;
};

struct read_request {
  std::string path;
  std::size_t offset = 1;  // of the first line, from 1
  std::size_t limit = read_lines_default;
  bool line_numbers = true;
};

struct write_request {
  std::string path;
  std::string content;
  bool overwrite = false;
};

struct edit_request {
  std::string path;
  std::vector<text_edit> edits;  // all or none, each on the outcome of the one before
};

struct list_request {
  std::string path = ".";
  std::size_t depth = list_depth_default;
  bool hidden = false;
  bool ignored = false;
};

struct glob_request {
  std::string pattern;
  std::string path = ".";
  std::size_t limit = glob_results_default;
  bool ignored = false;
};

enum class grep_output { content, files, count };
struct grep_request {
  std::string pattern;
  std::string path = ".";
  std::string glob = {};  // empty: every file
  bool ignore_case = false;
  std::size_t context = 0;
  grep_output output = grep_output::content;
  std::size_t limit = grep_results_default;
  bool ignored = false;
};

class file_tools {
 public:
  explicit file_tools(limits bounds);

  tool_result read(const read_request& request, const call_scope& scope);
  tool_result write(const write_request& request, const call_scope& scope);
  tool_result edit(const edit_request& request, const call_scope& scope);
  tool_result list(const list_request& request, const call_scope& scope) const;
  tool_result glob(const glob_request& request, const call_scope& scope) const;
  tool_result grep(const grep_request& request, const call_scope& scope) const;

  // The operation called `tool` ("files_read", ...) with the arguments as the model gave them.
  tool_result call(std::string_view tool, const boost::json::object& arguments,
                   const call_scope& scope);

 private:
  result<tool_result> do_read(const read_request& request, const call_scope& scope);
  result<tool_result> do_write(const write_request& request, const call_scope& scope);
  result<tool_result> do_edit(const edit_request& request, const call_scope& scope);
  result<tool_result> do_list(const list_request& request, const call_scope& scope) const;
  result<tool_result> do_glob(const glob_request& request, const call_scope& scope) const;
  result<tool_result> do_grep(const grep_request& request, const call_scope& scope) const;
  result<void> may_write(const place& at) const;
  std::mutex& lock_of(const std::string& path);

  const limits bounds_;
  seen_files seen_;
  std::array<std::mutex, 64> locks_;  // of the files being changed, by the hash of the path
};

// Arguments as typed requests; a failure names the argument.
result<read_request> parse_read(const boost::json::object& arguments);
result<write_request> parse_write(const boost::json::object& arguments);
result<edit_request> parse_edit(const boost::json::object& arguments);
result<list_request> parse_list(const boost::json::object& arguments);
result<glob_request> parse_glob(const boost::json::object& arguments);
result<grep_request> parse_grep(const boost::json::object& arguments);

}  // namespace rustic::files
