// Construction, arguments, dispatch, and the form of results.
#include "file_tools.hpp"

#include <boost/json/array.hpp>
#include <boost/json/value.hpp>

#include "operation.hpp"
#include "text.hpp"

namespace rustic::files {
namespace json = boost::json;
namespace {

// Reads members of one object and keeps the first complaint.
class argument_reader {
 public:
  argument_reader(const json::object& object, std::string prefix = {})
      : object_(object), prefix_(std::move(prefix)) {}

  void text(const char* name, std::string& out, bool required = false) {
    const json::value* value = find(name, required);
    if (!value) return;
    if (!value->is_string()) return complain(name, "must be a string");
    out.assign(value->get_string().data(), value->get_string().size());
  }
  void flag(const char* name, bool& out) {
    const json::value* value = find(name, false);
    if (!value) return;
    if (!value->is_bool()) return complain(name, "must be true or false");
    out = value->get_bool();
  }
  void count(const char* name, std::size_t& out, std::size_t least, std::size_t most) {
    const json::value* value = find(name, false);
    if (!value) return;
    boost::system::error_code error;
    const auto number = value->to_number<std::int64_t>(error);
    if (error || number < static_cast<std::int64_t>(least)) {
      return complain(name, "must be an integer of at least " + std::to_string(least));
    }
    out = std::min(static_cast<std::size_t>(number), most);
  }
  const json::array* list(const char* name) {
    const json::value* value = find(name, false);
    if (!value) return nullptr;
    if (!value->is_array()) complain(name, "must be a list");
    return value->if_array();
  }
  void complain(const std::string& name, const std::string& what) {
    if (problem_.empty()) problem_ = "the argument " + prefix_ + name + " " + what;
  }
  template <class T>
  result<T> done(T value) const {
    if (!problem_.empty()) return failure{reason::invalid, problem_ + "."};
    return value;
  }

 private:
  const json::value* find(const char* name, bool required) {
    const json::value* value = object_.if_contains(name);
    if (value && value->is_null()) value = nullptr;
    if (!value && required) complain(name, "is missing");
    return value;
  }

  const json::object& object_;
  std::string prefix_;
  std::string problem_;
};

constexpr std::size_t offset_max = std::size_t{1} << 48;  // lines; no file has more

}  // namespace

file_tools::file_tools(limits bounds) : bounds_(std::move(bounds)), seen_(bounds_.seen_files_max) {}

tool_result finished(result<tool_result> outcome) {
  if (outcome) return std::move(*outcome);
  tool_result out;
  out.error = utf8_clean(outcome.error().message);
  out.cancelled = outcome.error().why == reason::cancelled;
  return out;
}

result<read_request> parse_read(const json::object& arguments) {
  read_request out;
  argument_reader read(arguments);
  read.text("path", out.path, true);
  read.count("offset", out.offset, 1, offset_max);
  read.count("limit", out.limit, 1, read_lines_max);
  read.flag("line_numbers", out.line_numbers);
  return read.done(std::move(out));
}

result<write_request> parse_write(const json::object& arguments) {
  write_request out;
  argument_reader read(arguments);
  read.text("path", out.path, true);
  read.text("content", out.content, true);
  read.flag("overwrite", out.overwrite);
  return read.done(std::move(out));
}

namespace {
void read_replacement(argument_reader& read, text_edit& out) {
  read.text("old_text", out.old_text, true);
  read.text("new_text", out.new_text, true);
  read.flag("replace_all", out.replace_all);
}
}  // namespace

result<edit_request> parse_edit(const json::object& arguments) {
  edit_request out;
  argument_reader read(arguments);
  read.text("path", out.path, true);
  const json::array* edits = read.list("edits");
  if (arguments.contains("old_text") || !edits) {
    if (edits && !edits->empty()) {
      read.complain("edits", "cannot be given together with old_text");
    }
    text_edit one;
    read_replacement(read, one);
    out.edits.push_back(std::move(one));
    return read.done(std::move(out));
  }
  for (std::size_t i = 0; i < std::min(edits->size(), edits_max + 1); ++i) {
    const json::object* object = (*edits)[i].if_object();
    const std::string prefix = "edits[" + std::to_string(i) + "]";
    if (!object) {
      read.complain(prefix, "must be an object");
      break;
    }
    text_edit one;
    argument_reader inner(*object, prefix + ".");
    read_replacement(inner, one);
    auto parsed = inner.done(std::move(one));
    if (!parsed) return parsed.error();
    out.edits.push_back(std::move(*parsed));
  }
  return read.done(std::move(out));
}

result<list_request> parse_list(const json::object& arguments) {
  list_request out;
  argument_reader read(arguments);
  read.text("path", out.path);
  read.count("depth", out.depth, 1, list_depth_max);
  read.flag("hidden", out.hidden);
  read.flag("ignored", out.ignored);
  return read.done(std::move(out));
}

result<glob_request> parse_glob(const json::object& arguments) {
  glob_request out;
  argument_reader read(arguments);
  read.text("pattern", out.pattern, true);
  read.text("path", out.path);
  read.count("limit", out.limit, 1, glob_results_max);
  read.flag("ignored", out.ignored);
  return read.done(std::move(out));
}

result<grep_request> parse_grep(const json::object& arguments) {
  grep_request out;
  argument_reader read(arguments);
  read.text("pattern", out.pattern, true);
  read.text("path", out.path);
  read.text("glob", out.glob);
  read.flag("ignore_case", out.ignore_case);
  read.count("context", out.context, 0, grep_context_max);
  read.count("limit", out.limit, 1, grep_results_max);
  read.flag("ignored", out.ignored);
  std::string output = "content";
  read.text("output", output);
  if (output == "files") {
    out.output = grep_output::files;
  } else if (output == "count") {
    out.output = grep_output::count;
  } else if (output != "content") {
    read.complain("output", "must be content, files or count");
  }
  return read.done(std::move(out));
}

tool_result file_tools::call(std::string_view tool, const json::object& arguments,
                             const call_scope& scope) {
  const auto run = [&](auto parsed, auto operation) {
    if (!parsed) return finished(parsed.error());
    if (scope.cancelled && scope.cancelled()) return finished(cancelled_failure());
    return (this->*operation)(*parsed, scope);
  };
  if (tool == "files_read") return run(parse_read(arguments), &file_tools::read);
  if (tool == "files_write") return run(parse_write(arguments), &file_tools::write);
  if (tool == "files_edit") return run(parse_edit(arguments), &file_tools::edit);
  if (tool == "files_list") return run(parse_list(arguments), &file_tools::list);
  if (tool == "files_glob") return run(parse_glob(arguments), &file_tools::glob);
  if (tool == "files_grep") return run(parse_grep(arguments), &file_tools::grep);
  return finished(failure{reason::invalid, "there is no operation '" + utf8_name(tool) + "'"});
}

}  // namespace rustic::files
