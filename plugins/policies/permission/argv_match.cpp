#include "argv_match.hpp"

#include <algorithm>
#include <span>

#include "limits.hpp"
#include "shell_programs.hpp"

namespace rustic::permission {
namespace {

// Short and long options that mean the same to most programs.
struct option_pair {
  char letter;
  std::string_view name;
};
constexpr option_pair pairs[] = {{'r', "--recursive"}, {'R', "--recursive"}, {'f', "--force"},
                                 {'a', "--all"},       {'i', "--in-place"},  {'g', "--global"},
                                 {'d', "--delete"},    {'y', "--yes"},       {'n', "--dry-run"}};

bool is_option(std::string_view word) {
  return word.size() > 1 && word.front() == '-';
}
bool is_cluster(std::string_view word) {
  return is_option(word) && word[1] != '-';
}

// GNU programs take any unambiguous beginning of a long option.
bool long_option_is(std::string_view word, std::string_view name) {
  word = word.substr(0, word.find('='));
  return word == name || (word.size() >= 3 && word.starts_with("--") && name.starts_with(word));
}

bool has_letter(std::span<const std::string_view> options, char letter) {
  for (const std::string_view option : options) {
    if (is_cluster(option)) {
      if (option.find(letter, 1) != std::string_view::npos) return true;
      if ((letter == 'r' && option.find('R', 1) != std::string_view::npos) ||
          (letter == 'R' && option.find('r', 1) != std::string_view::npos))
        return true;
    } else {
      for (const option_pair& pair : pairs)
        if (pair.letter == letter && long_option_is(option, pair.name)) return true;
    }
  }
  return false;
}

bool has_option(std::span<const std::string_view> options, std::string_view wanted) {
  for (const std::string_view option : options)
    if (option == wanted) return true;
  if (is_cluster(wanted)) {
    return std::all_of(wanted.begin() + 1, wanted.end(),
                       [&](char letter) { return has_letter(options, letter); });
  }
  for (const std::string_view option : options)
    if (long_option_is(option, wanted.substr(0, wanted.find('='))) &&
        (wanted.find('=') == std::string_view::npos || option == wanted))
      return true;
  for (const option_pair& pair : pairs)
    if (pair.name == wanted)
      for (const std::string_view option : options)
        if (is_cluster(option) && option.find(pair.letter, 1) != std::string_view::npos)
          return true;
  return false;
}

struct operand {
  std::string_view text;
  bool known;
  bool maybe_value;  // stands right after an option, which may have taken it
};

likeness resembles_span(std::span<const std::string> words, const std::vector<bool>* known,
                        std::span<const std::string> rule) {
  if (rule.empty()) return likeness::yes;
  if (words.empty()) return likeness::no;
  auto is_known = [&](std::size_t i) { return known == nullptr || (*known)[i]; };
  if (!is_known(0)) return likeness::maybe;
  if (program_name(words[0]) != program_name(rule[0])) return likeness::no;

  std::vector<std::string_view> options;
  std::vector<operand> operands;
  bool any_unknown = false;
  bool only_operands = false;
  bool after_option = false;
  for (std::size_t i = 1; i < words.size(); ++i) {
    if (!is_known(i)) any_unknown = true;
    if (!only_operands && words[i] == "--") {
      only_operands = true;
      after_option = false;
    } else if (!only_operands && is_known(i) && is_option(words[i])) {
      options.emplace_back(words[i]);
      after_option = words[i].find('=') == std::string::npos;
    } else {
      operands.push_back({words[i], is_known(i), after_option});
      after_option = false;
    }
  }

  std::vector<std::string_view> wanted;
  bool rule_operands_only = false;
  bool option_missing = false;
  for (std::size_t i = 1; i < rule.size(); ++i) {
    if (!rule_operands_only && rule[i] == "--")
      rule_operands_only = true;
    else if (!rule_operands_only && is_option(rule[i]))
      option_missing = option_missing || !has_option(options, rule[i]);
    else
      wanted.push_back(rule[i]);
  }

  // reached[j]: the first j wanted words have been found so far.
  std::vector<bool> reached(wanted.size() + 1, false);
  reached[0] = true;
  bool open = false;  // an expansion stood where a wanted word could be
  for (const operand& one : operands) {
    if (reached.back()) break;
    std::vector<bool> next(reached.size(), false);
    for (std::size_t j = 0; j < wanted.size(); ++j) {
      if (!reached[j]) continue;
      if (!one.known) open = true;
      if (one.known && one.text == wanted[j]) next[j + 1] = true;
      if (one.maybe_value) next[j] = true;
    }
    reached = std::move(next);
  }
  const bool operands_found = reached.back();
  if (operands_found && !option_missing) return likeness::yes;
  if ((operands_found || open) && (!option_missing || any_unknown)) return likeness::maybe;
  return likeness::no;
}

likeness stronger(likeness a, likeness b) {
  return std::max(a, b);
}

// Looks for the rule's program at every word.
likeness search(std::span<const std::string> words, std::span<const std::string> rule) {
  const std::string_view program = program_name(rule[0]);
  std::size_t steps = 0;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (program_name(words[i]) != program) continue;
    const std::size_t count = std::min(words.size() - i, max_search_words);
    steps += count;
    if (steps > max_search_steps) return likeness::yes;
    if (resembles_span(words.subspan(i, count), nullptr, rule) != likeness::no)
      return likeness::yes;
  }
  return likeness::no;
}

// Words that a program may run as a command: also those inside its arguments.
likeness search_arguments(const std::vector<std::string>& argv, std::span<const std::string> rule) {
  std::vector<std::string> words;
  std::vector<std::string> whole;
  for (std::size_t i = 1; i < argv.size(); ++i) {
    whole.push_back(argv[i]);
    for (std::string& word : bare_words(argv[i], false)) words.push_back(std::move(word));
    if (!is_cluster(argv[i]) || argv[i].size() < 3) continue;
    const std::string_view attached = std::string_view(argv[i]).substr(2);  // -Xprogram
    whole.emplace_back(attached);
    for (std::string& word : bare_words(attached, false)) words.push_back(std::move(word));
  }
  return stronger(search(whole, rule), search(words, rule));
}

bool may_run_arguments(const std::vector<std::string>& argv) {
  if (argv.empty()) return false;
  switch (kind_of(program_name(argv[0]))) {
    case program_kind::plain:
    case program_kind::viewer:
    case program_kind::multi_verb:
      return runs_arguments(argv);
    default:
      return true;
  }
}

}  // namespace

bool begins_with(const simple_command& command, const std::vector<std::string>& words, bool whole) {
  if (words.empty() || command.argv.size() < words.size() || command.known_words < words.size())
    return false;
  if (whole && command.argv.size() != words.size()) return false;
  if (whole && command.reads_input && input_decides(program_name(words[0]))) return false;
  return std::equal(words.begin(), words.end(), command.argv.begin());
}

likeness resembles(const std::vector<std::string>& words, const std::vector<bool>& known,
                   const std::vector<std::string>& rule) {
  return resembles_span(words, &known, rule);
}

likeness occurs_in(const shell_command& line, const std::vector<std::string>& rule) {
  if (rule.empty()) return likeness::yes;
  likeness found = likeness::no;
  for (const simple_command& command : line.commands) {
    found = stronger(found, resembles(command.argv, command.known, rule));
    for (const simple_command::form& form : command.forms) {
      found = stronger(found, resembles(form.argv, form.known, rule));
      if (may_run_arguments(form.argv)) found = stronger(found, search_arguments(form.argv, rule));
    }
    if (may_run_arguments(command.argv))
      found = stronger(found, search_arguments(command.argv, rule));
    if (found == likeness::yes) return found;
  }
  for (const std::vector<std::string>& reading : line.readings)
    if (search(reading, rule) == likeness::yes) return likeness::yes;
  return found;
}

}  // namespace rustic::permission
