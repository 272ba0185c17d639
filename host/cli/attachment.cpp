#include "host/cli/attachment.hpp"

#include <algorithm>
#include <fstream>

#include "host/cli/limits.hpp"
#include "host/cli/terminal.hpp"

namespace rustic::cli {
namespace {
namespace fs = std::filesystem;

std::string base64(std::string_view bytes) {
  constexpr char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t at = 0; at < bytes.size(); at += 3) {
    const auto byte = [&](std::size_t i) {
      return at + i < bytes.size() ? static_cast<unsigned char>(bytes[at + i]) : 0u;
    };
    const auto group = (byte(0) << 16) | (byte(1) << 8) | byte(2);
    out += digits[(group >> 18) & 63];
    out += digits[(group >> 12) & 63];
    out += at + 1 < bytes.size() ? digits[(group >> 6) & 63] : '=';
    out += at + 2 < bytes.size() ? digits[group & 63] : '=';
  }
  return out;
}

std::string media_type_of(const fs::path& path) {
  auto extension = path.extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  if (extension == ".png") return "image/png";
  if (extension == ".jpg" || extension == ".jpeg") return "image/jpeg";
  if (extension == ".gif") return "image/gif";
  if (extension == ".webp") return "image/webp";
  if (extension == ".pdf") return "application/pdf";
  return {};
}

struct mention {
  std::vector<std::string> readings;  // the path, the likeliest reading first
  bool quoted = false;
};

// What the text names with @.
std::vector<mention> mentioned(std::string_view text) {
  std::vector<mention> out;
  for (std::size_t at = text.find('@'); at != std::string_view::npos; at = text.find('@', at + 1)) {
    if (at > 0 && std::string_view(" \n\t(").find(text[at - 1]) == std::string_view::npos) continue;
    auto rest = text.substr(at + 1);
    mention one;
    if (rest.starts_with('"')) {
      const auto end = rest.find('"', 1);
      if (end == std::string_view::npos) continue;
      one.quoted = true;
      one.readings.emplace_back(rest.substr(1, end - 1));
    } else {
      rest = rest.substr(0, rest.find_first_of(" \t\n"));
      if (!rest.empty()) one.readings.emplace_back(rest);
      // "look at @a.txt, please": without the punctuation when that is the file.
      while (!rest.empty() &&
             std::string_view(",.;:!?)").find(rest.back()) != std::string_view::npos) {
        rest.remove_suffix(1);
        if (!rest.empty()) one.readings.emplace_back(rest);
      }
    }
    if (!one.readings.empty() && !one.readings.front().empty()) out.push_back(std::move(one));
  }
  return out;
}

// "@ada" may be somebody's name; "@src/ada.c" and "@ada.c" are meant as files.
bool looks_like_path(std::string_view name) {
  const auto dot = name.rfind('.');
  return name.find('/') != std::string_view::npos ||
         (dot != std::string_view::npos && dot > 0 && dot + 1 < name.size());
}

fs::path below(const fs::path& workspace, const std::string& name) {
  return fs::path(name).is_absolute() ? fs::path(name) : workspace / name;
}

// Adds the file as a part. What stands against it, or nothing.
std::string attach(const std::string& name, const fs::path& path, json::array& parts) {
  std::error_code problem;
  const auto bytes = fs::file_size(path, problem);
  if (problem) return "cannot be read and was not attached: " + problem.message();
  if (bytes > attachment_bytes_max)
    return "is larger than " + std::to_string(attachment_bytes_max >> 20) +
           " MiB and was not attached";
  std::ifstream file(path, std::ios::binary);
  std::string content(static_cast<std::size_t>(bytes), '\0');
  if (!file.read(content.data(), static_cast<std::streamsize>(bytes)))
    return "cannot be read and was not attached";
  const auto media = media_type_of(path);
  if (media.starts_with("image/")) {
    parts.push_back({{"type", "image"}, {"media_type", media}, {"data", base64(content)}});
  } else if (!media.empty()) {
    parts.push_back({{"type", "file"},
                     {"name", to_utf8(path.filename().string())},
                     {"media_type", media},
                     {"data", base64(content)}});
  } else if (content.find('\0') != std::string::npos) {
    return "is a binary file and was not attached";
  } else {
    parts.push_back(
        {{"type", "text"}, {"text", "Content of " + to_utf8(name) + ":\n\n" + to_utf8(content)}});
  }
  return {};
}
}  // namespace

json::array message_parts(std::string_view text, const fs::path& workspace,
                          std::vector<std::string>& problems) {
  json::array parts;
  parts.push_back(json::object{{"type", "text"}, {"text", to_utf8(text)}});
  std::vector<fs::path> done;
  for (const auto& one : mentioned(text)) {
    std::error_code problem;
    const auto file = std::find_if(one.readings.begin(), one.readings.end(), [&](const auto& name) {
      return fs::is_regular_file(below(workspace, name), problem);
    });
    if (file == one.readings.end()) {
      const auto& name = one.readings.back();
      const auto path = below(workspace, name);
      if (fs::is_directory(path, problem))
        problems.push_back("@" + name + " is a directory; only files are attached");
      else if (fs::exists(path, problem))
        problems.push_back("@" + name + " is no regular file and was not attached");
      else if (one.quoted || looks_like_path(name))
        problems.push_back("@" + name + " was not found and is sent as a word");
      continue;
    }
    const auto path = below(workspace, *file);
    if (std::find(done.begin(), done.end(), path) != done.end()) continue;
    if (done.size() == attachments_max) {
      problems.push_back("more than " + std::to_string(attachments_max) +
                         " files are named; the rest was not attached");
      break;
    }
    done.push_back(path);
    if (const auto against = attach(*file, path, parts); !against.empty())
      problems.push_back("@" + *file + " " + against);
  }
  return parts;
}

completion complete_path(std::string_view before, const fs::path& workspace) {
  completion out;
  // An open quote reaches to the cursor, a plain word from the last blank.
  auto begin = before.rfind("@\"");
  const bool quoted =
      begin != std::string_view::npos && before.find('"', begin + 2) == std::string_view::npos;
  if (!quoted) begin = before.find_last_of(" \t\n(") + 1;
  const auto word = before.substr(begin);
  if (!word.starts_with('@')) return out;
  out.word_bytes = word.size();
  const std::string typed(word.substr(quoted ? 2 : 1));
  const auto slash = typed.rfind('/');
  const auto directory = slash == std::string::npos ? std::string() : typed.substr(0, slash + 1);
  const auto beginning = slash == std::string::npos ? typed : typed.substr(slash + 1);
  std::error_code problem;
  std::size_t looked_at = 0;
  const auto folder = directory.empty() ? workspace : below(workspace, directory);
  for (fs::directory_iterator at(folder, problem), end;
       !problem && at != end && out.offers.size() < completions_max &&
       looked_at < directory_entries_max;
       at.increment(problem), ++looked_at) {
    const auto name = at->path().filename().string();
    if (!name.starts_with(beginning) || (beginning.empty() && name.starts_with('.'))) continue;
    // A name that a terminal or a quoted word cannot hold is not offered.
    if (!is_utf8(name) || visible(name) != name) continue;
    if (name.find_first_of("\"\n\t") != std::string::npos) continue;
    std::error_code ignored;
    const bool is_directory = at->is_directory(ignored);
    const bool quotes = quoted || (directory + name).find_first_of(" (") != std::string::npos;
    out.offers.push_back(std::string(quotes ? "@\"" : "@") + directory + name +
                         (is_directory ? "/"
                          : quotes     ? "\""
                                       : ""));
  }
  std::sort(out.offers.begin(), out.offers.end());
  return out;
}
}  // namespace rustic::cli
