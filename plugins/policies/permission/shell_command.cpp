// The reader of command lines: recursive descent over the text, without expanding anything.
#include "shell_command.hpp"

#include <algorithm>
#include <cctype>
#include <optional>
#include <utility>

#include "limits.hpp"
#include "shell_parser.hpp"
#include "shell_programs.hpp"

namespace rustic::permission {
namespace {

using detail::parsed_word;

bool is_keyword(std::string_view text) {
  static constexpr std::string_view keywords[] = {
      "if", "then", "elif", "else", "fi",     "for", "while",    "until",
      "do", "done", "case", "esac", "select", "in",  "function", "coproc"};
  return std::find(std::begin(keywords), std::end(keywords), text) != std::end(keywords);
}

// Keywords that are followed by words and not by a command.
bool takes_words(std::string_view keyword) {
  return keyword == "for" || keyword == "case" || keyword == "select" || keyword == "in" ||
         keyword == "function";
}

std::optional<std::size_t> assignment_end(const parsed_word& word) {
  const std::string_view text = word.text;
  std::size_t i = 0;
  while (i < text.size() && (std::isalnum(static_cast<unsigned char>(text[i])) || text[i] == '_'))
    ++i;
  if (i == 0 || std::isdigit(static_cast<unsigned char>(text[0]))) return std::nullopt;
  if (i < text.size() && text[i] == '+') ++i;
  if (i < text.size() && text[i] == '=' && i < word.plain_bytes) return i;
  // NAME[...]= runs what stands in the brackets.
  if (i < text.size() && text[i] == '[' && text.find("]=", i) != std::string_view::npos) return i;
  return std::nullopt;
}

}  // namespace

namespace detail {

void parser::fail(std::string reason) {
  if (out_.complete) out_.reason = std::move(reason);
  out_.complete = false;
}

void parser::parse_all() {
  parse_list(list_end::text);
}

void parser::parse_list(list_end end) {
  if (++depth_ > max_nesting_levels) {
    fail("it is nested too deeply");
    at_ = text_.size();
    --depth_;
    return;
  }
  while (true) {
    skip_blanks();
    if (at_ >= text_.size()) {
      if (end != list_end::text) fail("a parenthesis or brace is not closed");
      finish_here_documents();
      break;
    }
    const char c = text_[at_];
    if (c == '\n') {
      ++at_;
      finish_here_documents();
    } else if (c == ')') {
      ++at_;
      if (end == list_end::parenthesis) break;
      fail("it has a ) without a (");
    } else if (c == ';') {
      ++at_;
      if (peek() == ';' || peek() == '&') fail("it has a case statement");
    } else if (c == '|') {
      ++at_;
      after_pipe_ = peek() != '|';
      if (!after_pipe_ || peek() == '&') ++at_;
    } else if (c == '&' && peek(1) != '>') {
      ++at_;
    } else if (parse_command(end)) {
      break;
    }
    if (out_.commands.size() > max_commands || words_read_ > max_words) {
      fail("it has too many words");
      at_ = text_.size();
    }
  }
  --depth_;
}

// True when the command was the } that ends the list.
bool parser::parse_command(list_end end) {
  std::vector<parsed_word> words;
  std::vector<std::string> env;
  const std::size_t first_command = out_.commands.size();
  bool redirected_input = false;
  bool joined_output = false;
  const bool fed = std::exchange(after_pipe_, false) || input_given_;
  auto parse_group = [&](list_end group_end) {
    const bool outside = std::exchange(input_given_, fed);
    parse_list(group_end);
    input_given_ = outside;
    after_pipe_ = false;
  };
  while (true) {
    skip_blanks();
    if (at_ >= text_.size()) break;
    const char c = text_[at_];
    if (c == '\n' || c == ';' || c == '|' || c == ')') break;
    if (c == '&' && peek(1) != '>') break;
    if (c == '(') {
      if (peek(1) == '(') fail("it has arithmetic");
      if (!words.empty()) fail("it has parentheses after a word (a function or a pattern)");
      ++at_;
      parse_group(list_end::parenthesis);
      continue;
    }
    if (c == '&' || ((c == '<' || c == '>') && peek(1) != '(')) {
      joined_output = joined_output || c == '&';
      redirected_input = parse_redirection() || redirected_input;
      continue;
    }
    const std::size_t before = at_;
    parsed_word word = read_word();
    if (at_ == before) {
      fail("it has a character that cannot be read");
      ++at_;
      continue;
    }
    if ((peek() == '<' || peek() == '>') && word.plain_bytes == word.text.size() &&
        !word.text.empty() && word.text.find_first_not_of("0123456789") == std::string::npos) {
      // The number of a file descriptor. A plain POSIX shell takes one digit for it.
      if (word.text.size() > 1) fail("a redirection has a descriptor of several digits");
      continue;
    }
    // To a plain POSIX shell &> is the end of one command and the beginning of the next.
    if (joined_output) fail("words follow &>, which not every shell reads alike");
    const bool bare = word.plain_bytes == word.text.size();
    if (words.empty() && bare && !word.quoted) {
      if (word.text == "}" && end == list_end::brace) return true;
      if (word.text == "{") {
        parse_group(list_end::brace);
        continue;
      }
      if (word.text == "!") continue;
      if (word.text == "time" && env.empty()) {
        skip_time_options();
        continue;
      }
      if (is_keyword(word.text)) {
        fail("it has the keyword " + word.text);
        if (takes_words(word.text)) skip_words();
        continue;
      }
      if (word.text == "[[") fail("it has a [[ ]] condition");
      if (word.text == "}") fail("it has a } without a {");
    }
    if (words.empty())
      if (std::optional<std::size_t> equals = assignment_end(word)) {
        if (word.text[*equals] != '=' || (word.text[*equals] == '=' && peek() == '('))
          fail("it sets an array");
        if (*equals > 0 && word.text[*equals - 1] == '+')
          fail("it appends to a variable, which not every shell can");
        env.push_back(word.text);
        continue;
      }
    words.push_back(std::move(word));
  }
  if (redirected_input)
    for (std::size_t i = first_command; i < out_.commands.size(); ++i)
      out_.commands[i].reads_input = true;
  if (words.empty() && env.empty()) return false;
  std::vector<std::string> argv;
  std::vector<bool> known;
  for (parsed_word& word : words) {
    argv.push_back(std::move(word.text));
    known.push_back(!word.expands);
  }
  add_command(std::move(argv), std::move(known), std::move(env), fed || redirected_input);
  return false;
}

void parser::skip_time_options() {
  while (true) {
    skip_blanks();
    const std::size_t before = at_;
    if (peek() != '-') return;
    const parsed_word word = read_word();
    if (word.text == "-p" || word.text == "--") continue;
    at_ = before;
    fail("time has options that are not known here");
    read_word();
  }
}

void parser::skip_words() {
  while (at_ < text_.size()) {
    skip_blanks();
    const char c = peek();
    if (c == '\0' || c == '\n' || c == ';' || c == '|' || c == '&' || c == '(' || c == ')') return;
    const std::size_t before = at_;
    if (c == '<' || c == '>')
      parse_redirection();
    else
      read_word();
    if (at_ == before) ++at_;
  }
}

bool parser::parse_redirection() {
  const char first = text_[at_++];
  bool output = first != '<';
  bool duplicate = false;
  if (first == '&') {  // &> and &>>
    ++at_;
    if (peek() == '>') ++at_;
  } else if (first == '>') {
    if (peek() == '>' || peek() == '|')
      ++at_;
    else if (peek() == '&') {
      ++at_;
      duplicate = true;
    }
  } else if (peek() == '<') {
    ++at_;
    if (peek() == '<') {
      ++at_;
      skip_blanks();
      read_word();
    } else {
      read_here_document_start();
    }
    return true;
  } else if (peek() == '&') {
    ++at_;
    duplicate = true;
  } else if (peek() == '>') {
    ++at_;
    output = true;
  }
  skip_blanks();
  const parsed_word target = read_word();
  const std::string_view name = target.text;
  if (duplicate && !target.expands && !name.empty()) {
    // A number, a number that moves ("3-"), or "-", which closes.
    const std::string_view number = name.substr(0, name.size() - (name.back() == '-' ? 1 : 0));
    if (number.find_first_not_of("0123456789") == std::string_view::npos) return false;
    // "<&-rm" closes a descriptor and begins the word rm.
    fail("a redirection names no descriptor");
    if (name.front() == '-') note_text(name.substr(1));
  }
  if (target.expands) {
    fail("a redirection uses a name that is not known here");
    return !output;
  }
  if (name == "/dev/null" || name == "/dev/stdout" || name == "/dev/stderr") return false;
  if (name.empty())
    fail("a redirection has no target");
  else if (output)
    fail("it writes to the file " + target.text);
  else if (name.starts_with("/dev/tcp") || name.starts_with("/dev/udp"))
    fail("it opens the network connection " + target.text);
  return !output;
}

void parser::read_here_document_start() {
  here_document document;
  if (peek() == '-') {
    ++at_;
    document.strip_tabs = true;
  }
  skip_blanks();
  parsed_word word = read_word();
  if (word.expands || word.text.find('\n') != std::string::npos)
    fail("the end mark of a here-document cannot be read");
  document.quoted = word.quoted;
  document.end = std::move(word.text);
  here_documents_.push_back(std::move(document));
}

void parser::finish_here_documents() {
  std::vector<here_document> documents;
  documents.swap(here_documents_);
  for (const here_document& document : documents) {
    std::string body;
    bool ended = false;
    while (at_ < text_.size() && !ended) {
      const std::size_t stop = std::min(text_.find('\n', at_), text_.size());
      std::string_view line = text_.substr(at_, stop - at_);
      at_ = std::min(stop + 1, text_.size());
      if (document.strip_tabs)
        line.remove_prefix(std::min(line.find_first_not_of('\t'), line.size()));
      if (line == document.end) {
        ended = true;
        break;
      }
      // Such a line is joined with the next one before the end mark is looked for.
      if (!document.quoted && line.ends_with('\\'))
        fail("a line of a here-document ends with a backslash");
      body.append(line);
      body.push_back('\n');
    }
    if (!ended) fail("a here-document does not end");
    note_text(body);
    if (!document.quoted) {
      parser inner(body, out_, depth_ + 1);
      inner.parse_quoted_text();
    }
  }
}

void parser::note_text(std::string_view text) {
  for (std::string& word : bare_words(text, true)) out_.readings.front().push_back(std::move(word));
}

// Takes wrappers away, follows `sh -c`, and says what is not followed.
void parser::add_command(std::vector<std::string> argv, std::vector<bool> known,
                         std::vector<std::string> env, bool reads_input) {
  simple_command command;
  command.env = std::move(env);
  command.reads_input = reads_input;
  simple_command::form form{std::move(argv), std::move(known)};
  bool settled = false;  // command.argv is what rules that allow look at
  while (!form.argv.empty()) {
    if (!form.known[0]) {
      fail("the name of a program is the result of an expansion");
      break;
    }
    const std::string name(program_name(form.argv[0]));
    const program_kind kind = kind_of(name);
    if (name.empty()) {
      fail("the name of a program is empty");
      break;
    }
    if (kind == program_kind::wrapper || kind == program_kind::elevator) {
      const unwrapped inner = unwrap(form.argv);
      if (inner.result == unwrapped::status::none) break;
      if (inner.result == unwrapped::status::unclear) {
        fail(name + " has an option that is not known here");
        break;
      }
      const auto begin = static_cast<std::ptrdiff_t>(inner.begin);
      if (std::find(form.known.begin(), form.known.begin() + begin, false) !=
          form.known.begin() + begin) {
        fail("an expansion stands between " + name + " and the program that it runs");
        break;
      }
      if (command.forms.size() == max_wrappers) {
        fail("too many wrappers stand around a command");
        break;
      }
      // ./env is not env but whatever somebody wrote to that file.
      const bool of_the_system = form.argv[0] == name || form.argv[0] == "/bin/" + name ||
                                 form.argv[0] == "/usr/bin/" + name;
      if (!settled && (kind == program_kind::elevator || !of_the_system)) {
        settled = true;
        command.argv = form.argv;
        command.known = form.known;
      }
      if (!settled) command.env.insert(command.env.end(), inner.env.begin(), inner.env.end());
      simple_command::form next{{form.argv.begin() + begin, form.argv.end()},
                                {form.known.begin() + begin, form.known.end()}};
      command.forms.push_back(std::move(form));
      form = std::move(next);
      continue;
    }
    check_program(name, kind, form, reads_input);
    break;
  }
  if (settled) {
    command.forms.push_back(std::move(form));
  } else {
    command.argv = std::move(form.argv);
    command.known = std::move(form.known);
  }
  const auto first_unknown = std::find(command.known.begin(), command.known.end(), false);
  command.known_words = static_cast<std::size_t>(first_unknown - command.known.begin());
  out_.commands.push_back(std::move(command));
}

void parser::check_program(const std::string& name, program_kind kind,
                           const simple_command::form& form, bool reads_input) {
  if (kind == program_kind::runner) return fail(name + " runs a command that is not followed here");
  if (kind == program_kind::builtin) {
    if (name == "eval" || name == "exec") {
      std::string text;
      for (std::size_t i = 1; i < form.argv.size(); ++i) text.append(form.argv[i]).push_back(' ');
      parse_inner(text, reads_input);
    }
    return fail(name + " changes what the shell runs");
  }
  if (kind == program_kind::shell) {
    const std::size_t script = script_index(form.argv);
    if (script == 0) return fail(name + " runs text that does not stand in the command line");
    if (std::find(form.known.begin(), form.known.begin() + static_cast<std::ptrdiff_t>(script) + 1,
                  false) != form.known.begin() + static_cast<std::ptrdiff_t>(script) + 1)
      fail("the script of " + name + " -c is the result of an expansion");
    parse_inner(form.argv[script], reads_input);
    if (!posix_shell(name)) fail(name + " reads its script in a way that is not followed here");
    return;
  }
  if (name == "find") {
    static constexpr std::string_view acting[] = {
        "-exec", "-execdir", "-ok", "-okdir", "-delete", "-fls", "-fprint", "-fprint0", "-fprintf"};
    for (const std::string& word : form.argv)
      if (std::find(std::begin(acting), std::end(acting), word) != std::end(acting))
        return fail("find has the action " + word);
    if (std::find(form.known.begin(), form.known.end(), false) != form.known.end())
      return fail("find has an argument that is not known here");
  }
  if (name == "[" || name == "test" || name == "printf" || name == "wait")
    for (const std::string& word : form.argv)
      if (word.find("$(") != std::string::npos || word.find('`') != std::string::npos)
        return fail(name + " may run what stands in its arguments");
}

void parser::parse_inner(std::string_view text, bool input_given) {
  note_text(text);
  if (depth_ + 1 > max_nesting_levels) return fail("it is nested too deeply");
  const std::string copy(text);
  parser inner(copy, out_, depth_ + 1, input_given);
  inner.parse_all();
}

}  // namespace detail

std::string_view program_name(std::string_view word) {
  const std::size_t slash = word.rfind('/');
  return slash == std::string_view::npos ? word : word.substr(slash + 1);
}

std::vector<std::string> bare_words(std::string_view text, bool drop_quotes) {
  std::vector<std::string> words;
  std::string word;
  auto flush = [&] {
    if (!word.empty()) words.push_back(std::move(word));
    word.clear();
  };
  for (char c : text) {
    const bool quote = c == '\'' || c == '"' || c == '\\';
    if (quote && drop_quotes) continue;
    if (quote ||
        std::string_view(" \t\n\r\v\f;|&()<>{}$`,=[]!").find(c) != std::string_view::npos ||
        c == '\0')
      flush();
    else
      word.push_back(c);
  }
  flush();
  return words;
}

shell_command parse_shell_command(std::string_view line) {
  shell_command out;
  out.readings.emplace_back();
  if (line.size() > max_command_bytes) {
    out.complete = false;
    out.reason = "it is longer than 64 KiB";
  } else {
    detail::parser reader(line, out, 0);
    reader.parse_all();
  }
  if (out.complete) {
    out.readings.clear();
    return out;
  }
  const std::string_view searched = line.substr(0, max_checked_bytes);
  out.readings.push_back(bare_words(searched, true));
  out.readings.push_back(bare_words(searched, false));
  return out;
}

}  // namespace rustic::permission
