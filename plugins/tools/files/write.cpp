// files_write and files_edit.
#include <algorithm>
#include <functional>

#include "diff.hpp"
#include "file_tools.hpp"
#include "operation.hpp"
#include "suggest.hpp"
#include "text.hpp"

namespace rustic::files {
namespace {

void add_diff(tool_result& out, const text_diff& diff) {
  out.metadata["diff"] = diff.text;
  out.metadata["diff_cut"] = diff.cut;
  out.metadata["lines_added"] = diff.added;
  out.metadata["lines_removed"] = diff.removed;
}

std::string counts_text(const text_diff& diff) {
  return "+" + std::to_string(diff.added) + " -" + std::to_string(diff.removed);
}

std::string notes_text(const std::vector<std::string>& notes) {
  std::string out;
  for (const std::string& note : notes) out += "\nNote: " + note + ".";
  return out;
}

failure stale_failure(const place& at) {
  return {reason::changed, "'" + at.shown +
                               "' changed on disk since it was read in this session. Read it again "
                               "and repeat the change on what it holds now."};
}

// Why an existing file must not be replaced by this session, if so.
result<void> may_overwrite(const place& at, const std::optional<seen_file>& seen,
                           const file_stamp& stamp, std::optional<std::uint64_t> hash,
                           std::uint64_t size) {
  if (!seen) {
    return failure{reason::refused,
                   "'" + at.shown + "' exists (" + size_text(size) +
                       ") and has not been read in this session. Read it first, change parts of "
                       "it with files_edit, or set overwrite to true to replace it unseen."};
  }
  if (!seen->matches(stamp, hash)) return stale_failure(at);
  if (!seen->complete) {
    return failure{reason::refused,
                   "'" + at.shown + "' has been read only in part (up to line " +
                       std::to_string(seen->lines_through) +
                       "), and the rest would be lost. Read on from there, change parts of it "
                       "with files_edit, or set overwrite to true."};
  }
  return {};
}

std::string lines_text(const std::vector<std::size_t>& lines, std::size_t count) {
  std::string out = lines.size() == 1 ? "line " : "lines ";
  for (std::size_t i = 0; i < lines.size(); ++i) out += (i ? ", " : "") + std::to_string(lines[i]);
  return out + (count > lines.size() ? ", ..." : "");
}

}  // namespace

std::mutex& file_tools::lock_of(const std::string& path) {
  return locks_[std::hash<std::string>{}(path) % locks_.size()];
}

result<void> file_tools::may_write(const place& at) const {
  if (at.exists && S_ISDIR(at.info.st_mode)) {
    return failure{reason::refused, "'" + at.shown + "' is a directory; give the path of a file."};
  }
  for (const std::string& name : bounds_.protected_names) {
    if (at.inside(name)) {
      return failure{reason::refused, "'" + at.shown + "' is inside '" + name +
                                          "', which file tools do not write (setting "
                                          "protected_names)."};
    }
  }
  return {};
}

result<tool_result> file_tools::do_write(const write_request& request, const call_scope& scope) {
  auto paths = path_scope::open(scope.workspace, scope.roots);
  if (!paths) return paths.error();
  auto at = locate_shown(*paths, request.path, scope.withheld);
  if (!at) return at.error();
  if (request.path.back() == '/' && !at->exists) {
    return failure{reason::invalid, "'" + at->shown +
                                        "/' names a directory; directories are made with the "
                                        "first file written below them."};
  }
  if (auto allowed = may_write(*at); !allowed) return allowed.error();
  const std::lock_guard lock(lock_of(at->path));

  std::string bytes = request.content;
  std::string old_text;
  bool old_shown = true;  // the diff can tell the old content
  std::optional<file_stamp> expected;
  std::string kept;
  if (at->exists) {
    auto old = load(*at, bounds_.whole_file_bytes_max, scope.cancelled);
    if (!old && old.error().why != reason::too_large) return old.error();
    const std::optional<seen_file> seen = seen_.find(scope.session, at->path);
    if (!old) {
      expected = stamp_of(at->info);
      old_shown = false;
    } else {
      expected = old->stamp;
    }
    if (!request.overwrite) {
      std::optional<std::uint64_t> hash;
      if (old) hash = content_hash(old->bytes);
      auto allowed =
          may_overwrite(*at, seen, *expected, hash, static_cast<std::uint64_t>(expected->size));
      if (!allowed) return allowed.error();
    }
    if (old && !sniff_binary(old->bytes)) {
      decoded_text decoded = decode(std::move(old->bytes));
      const bool crlf = line_ends_of(decoded.text) == line_ends::crlf;
      if (crlf && bytes.find('\r') == bytes.npos && bytes.find('\n') != bytes.npos) {
        bytes = with_crlf(bytes);
        kept = ", kept CRLF line ends";
      }
      if (decoded.lossless && decoded.form != encoding::other && decoded.form != encoding::utf8 &&
          bytes.substr(0, 3) != "\xEF\xBB\xBF") {
        bytes = encode(bytes, decoded.form);
        kept += ", kept " + std::string(encoding_name(decoded.form));
      }
      old_text = std::move(decoded.text);
    } else {
      old_shown = false;
    }
  }
  const bool existed = at->exists;
  write_options options{bounds_.sync, expected ? &*expected : nullptr, &scope.cancelled};
  auto written = replace_file(*at, bytes, options);
  if (!written) return written.error();
  const std::string new_text = decode(bytes).text;
  seen_.put(scope.session, at->path,
            {written->stamp, content_hash(bytes), count_lines(new_text), true});

  tool_result out;
  out.success = true;
  out.output = (existed ? "Replaced " : "Created ") + at->shown + " (" +
               count_text(count_lines(new_text), "line") + ", " + size_text(bytes.size());
  out.metadata = {{"path", at->shown}, {"created", !existed}, {"size_bytes", bytes.size()}};
  if (old_shown) {
    const text_diff diff =
        unified_diff(old_text, new_text, existed ? at->shown.c_str() : nullptr, at->shown);
    add_diff(out, diff);
    if (existed) out.output += diff.text.empty() ? ", no change" : ", " + counts_text(diff);
  }
  out.output += kept + ")." + notes_text(written->notes);
  return out;
}

result<tool_result> file_tools::do_edit(const edit_request& request, const call_scope& scope) {
  if (request.edits.empty()) {
    return failure{reason::invalid, "there is no edit; give old_text and new_text, or edits"};
  }
  if (request.edits.size() > edits_max) {
    return failure{reason::invalid,
                   "more than " + std::to_string(edits_max) + " edits in one call; split them"};
  }
  auto paths = path_scope::open(scope.workspace, scope.roots);
  if (!paths) return paths.error();
  auto at = locate_shown(*paths, request.path, scope.withheld);
  if (!at) return at.error();
  if (!at->exists) {
    failure missing = missing_failure(*at);
    missing.message += " files_write makes new files.";
    return missing;
  }
  if (auto allowed = may_write(*at); !allowed) return allowed.error();
  const std::lock_guard lock(lock_of(at->path));

  auto old = load(*at, bounds_.whole_file_bytes_max, scope.cancelled);
  if (!old) {
    failure problem = old.error();
    if (problem.why == reason::too_large) problem.message += ", which is too large to edit.";
    return problem;
  }
  const std::optional<seen_file> seen = seen_.find(scope.session, at->path);
  if (seen && !seen->matches(old->stamp, content_hash(old->bytes))) return stale_failure(*at);
  if (const auto binary = sniff_binary(old->bytes)) {
    return failure{reason::refused,
                   "'" + at->shown + "' is not text (" + *binary + ") and cannot be edited."};
  }
  const decoded_text before = decode(std::move(old->bytes));
  if (!before.lossless) {
    return failure{reason::refused, "'" + at->shown + "' is broken " +
                                        std::string(encoding_name(before.form)) +
                                        "; an edit would damage the rest of it."};
  }
  std::string text = before.text;
  std::size_t replacements = 0;
  std::vector<std::size_t> lines;
  for (std::size_t i = 0; i < request.edits.size(); ++i) {
    if (scope.cancelled && scope.cancelled()) return cancelled_failure();
    auto applied = apply_edit(text, request.edits[i], at->shown);
    if (!applied) {
      failure problem = applied.error();
      if (request.edits.size() > 1) {
        problem.message = "edits[" + std::to_string(i) + "]: " + problem.message +
                          "\nNone of the edits was made.";
      }
      if (before.form == encoding::other && problem.why == reason::not_found) {
        problem.message +=
            " The file is not UTF-8: text near bytes shown as \xEF\xBF\xBD cannot be matched.";
      }
      return problem;
    }
    replacements += applied->replacements;
    lines.insert(lines.end(), applied->lines.begin(), applied->lines.end());
  }
  const std::string bytes = encode(text, before.form);
  if (bytes.size() > bounds_.whole_file_bytes_max) {
    return failure{reason::too_large, "'" + at->shown + "' would grow to " +
                                          size_text(bytes.size()) + "; nothing was written."};
  }
  const text_diff diff = unified_diff(before.text, text, at->shown.c_str(), at->shown);
  write_options options{bounds_.sync, &old->stamp, &scope.cancelled};
  auto written = replace_file(*at, bytes, options);
  if (!written) return written.error();
  if (seen) {
    const std::size_t through = seen->complete ? count_lines(text) : 0;
    seen_.put(scope.session, at->path,
              {written->stamp, content_hash(bytes), through, seen->complete});
  }

  tool_result out;
  out.success = true;
  if (lines.size() > listed_lines_max) lines.resize(listed_lines_max);
  out.output = "Edited " + at->shown + ": " + count_text(replacements, "replacement") + " at " +
               lines_text(lines, replacements) + " (" + counts_text(diff) + ")." +
               notes_text(written->notes);
  out.metadata = {
      {"path", at->shown}, {"replacements", replacements}, {"size_bytes", bytes.size()}};
  add_diff(out, diff);
  return out;
}

tool_result file_tools::write(const write_request& request, const call_scope& scope) {
  return finished(do_write(request, scope));
}

tool_result file_tools::edit(const edit_request& request, const call_scope& scope) {
  return finished(do_edit(request, scope));
}

}  // namespace rustic::files
