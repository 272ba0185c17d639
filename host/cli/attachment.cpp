#include "host/cli/attachment.hpp"

#include <algorithm>
#include <fstream>

#include "host/cli/limits.hpp"

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

// The paths that the text names with @, as typed.
std::vector<std::string> mentioned(std::string_view text) {
  std::vector<std::string> out;
  for (std::size_t at = text.find('@'); at != std::string_view::npos; at = text.find('@', at + 1)) {
    if (at > 0 && text[at - 1] != ' ' && text[at - 1] != '\n' && text[at - 1] != '\t' &&
        text[at - 1] != '(')
      continue;
    auto rest = text.substr(at + 1);
    if (rest.starts_with('"')) {
      const auto end = rest.find('"', 1);
      if (end != std::string_view::npos) out.emplace_back(rest.substr(1, end - 1));
    } else {
      rest = rest.substr(0, rest.find_first_of(" \t\n"));
      out.emplace_back(rest);
      // "look at @a.txt, please": without the punctuation when that is the file.
      while (!rest.empty() && std::string_view(",.;:!?)").find(rest.back()) != std::string_view::npos) {
        rest.remove_suffix(1);
        out.emplace_back(rest);
      }
    }
  }
  return out;
}
}  // namespace

json::array message_parts(std::string_view text, const fs::path& workspace,
                          std::vector<std::string>& problems) {
  json::array parts;
  parts.push_back(json::object{{"type", "text"}, {"text", to_utf8(text)}});
  std::vector<fs::path> done;
  for (const auto& name : mentioned(text)) {
    if (name.empty()) continue;
    const fs::path path = fs::path(name).is_absolute() ? fs::path(name) : workspace / name;
    std::error_code problem;
    if (!fs::is_regular_file(path, problem)) continue;
    if (std::find(done.begin(), done.end(), path) != done.end()) continue;
    done.push_back(path);
    const auto bytes = fs::file_size(path, problem);
    if (problem || bytes > attachment_bytes_max) {
      problems.push_back("@" + name + " is larger than " +
                         std::to_string(attachment_bytes_max >> 20) + " MiB and was not attached");
      continue;
    }
    std::ifstream file(path, std::ios::binary);
    std::string content(static_cast<std::size_t>(bytes), '\0');
    if (!file.read(content.data(), static_cast<std::streamsize>(bytes))) {
      problems.push_back("@" + name + " cannot be read and was not attached");
      continue;
    }
    const auto media = media_type_of(path);
    if (media.starts_with("image/"))
      parts.push_back({{"type", "image"}, {"media_type", media}, {"data", base64(content)}});
    else if (!media.empty())
      parts.push_back({{"type", "file"}, {"name", path.filename().string()}, {"media_type", media},
                       {"data", base64(content)}});
    else if (content.find('\0') != std::string::npos)
      problems.push_back("@" + name + " is a binary file and was not attached");
    else
      parts.push_back({{"type", "text"},
                       {"text", "Content of " + name + ":\n\n" + to_utf8(content)}});
  }
  return parts;
}

std::vector<std::string> complete_path(std::string_view word, const fs::path& workspace) {
  std::vector<std::string> out;
  if (!word.starts_with('@')) return out;
  const std::string typed(word.substr(1));
  const auto slash = typed.rfind('/');
  const auto directory = slash == std::string::npos ? std::string() : typed.substr(0, slash + 1);
  const auto beginning = slash == std::string::npos ? typed : typed.substr(slash + 1);
  std::error_code problem;
  for (fs::directory_iterator at(fs::path(directory).is_absolute() ? fs::path(directory) : workspace / directory,
                                 problem),
       end;
       !problem && at != end && out.size() < completions_max; at.increment(problem)) {
    const auto name = at->path().filename().string();
    if (!name.starts_with(beginning) || (beginning.empty() && name.starts_with('.'))) continue;
    std::error_code ignored;
    out.push_back("@" + directory + name + (at->is_directory(ignored) ? "/" : ""));
  }
  std::sort(out.begin(), out.end());
  return out;
}
}  // namespace rustic::cli
