#include "host/cli/argument_offers.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <string_view>

namespace rustic::cli {
namespace {

// An option of the command, by what stands on the command line without its dashes.
CLI::Option* option_of(CLI::App& app, const std::string& name, bool is_short) {
  for (auto* option : app.get_options([](CLI::Option* one) { return one->nonpositional(); }))
    if (is_short ? option->check_sname(name) : option->check_lname(name)) return option;
  return nullptr;
}

bool takes_value(const CLI::Option* option) {
  return option && option->get_items_expected_max() > 0;
}

CLI::Option* positional_of(CLI::App& app, std::size_t number) {
  for (auto* option : app.get_options([](CLI::Option* one) { return one->get_positional(); }))
    if (number-- == 0 || option->get_expected_max() > 1) return option;
  return nullptr;
}

void offer_values(const CLI::Option& option, argument_offers& out) {
  // "TEXT:{a,b,c}" is what a set of values makes of the type's name.
  const auto type = option.get_type_name();
  const auto open = type.find('{'), close = type.rfind('}');
  if (open != std::string::npos && close != std::string::npos && open < close) {
    for (std::size_t at = open + 1; at < close;) {
      const auto end = std::min(type.find(',', at), close);
      out.words.push_back({type.substr(at, end - at), ""});
      at = end + 1;
    }
    return;
  }
  if (type == "DIR") out.what = argument_offers::kind::directories;
  if (type == "FILE") out.what = argument_offers::kind::files;
  for (const auto* name : {"AGENT", "PROVIDER", "MODEL", "KEY", "PLUGIN", "SESSION"}) {
    if (type != name) continue;
    out.what = argument_offers::kind::names;
    for (const char* c = name; *c != '\0'; ++c) out.named += static_cast<char>(*c - 'A' + 'a');
  }
}

void offer_options(CLI::App& app, argument_offers& out) {
  for (const auto* option :
       app.get_options([](CLI::Option* one) { return one->nonpositional(); })) {
    for (const auto& name : option->get_lnames())
      out.words.push_back({"--" + name, option->get_description()});
    for (const auto& name : option->get_snames())
      out.words.push_back({"-" + name, option->get_description()});
  }
}

// Where the words before the one in question lead.
struct place {
  CLI::App* app;
  CLI::Option* waiting = nullptr;  // for its value
  std::size_t positionals = 0;
  bool options_over = false;

  void pass(const std::string& word) {
    if (waiting) {
      if (word != "=") waiting = nullptr;  // bash makes three words of --output=json
      return;
    }
    if (options_over || word.size() < 2 || word[0] != '-') {
      const auto commands = app->get_subcommands(
          [&](const CLI::App* one) { return !options_over && one->get_name() == word; });
      if (commands.empty())
        ++positionals;
      else
        app = commands.front();
      return;
    }
    if (word == "--") {
      options_over = true;
    } else if (word[1] == '-') {
      if (word.find('=') != std::string::npos) return;
      auto* option = option_of(*app, word.substr(2), false);
      if (takes_value(option)) waiting = option;
    } else {
      for (std::size_t at = 1; at < word.size(); ++at) {
        auto* option = option_of(*app, word.substr(at, 1), true);
        if (!takes_value(option)) continue;
        if (at + 1 == word.size()) waiting = option;
        return;  // what follows is its value
      }
    }
  }
};
}  // namespace

argument_offers offers_of(CLI::App& app, const std::vector<std::string>& words) {
  argument_offers out;
  if (words.empty()) return out;
  place at{&app};
  for (std::size_t i = 0; i + 1 < words.size(); ++i) at.pass(words[i]);
  const auto& word = words.back();
  if (at.waiting) {
    offer_values(*at.waiting, out);
    return out;
  }
  if (!at.options_over && word.starts_with("-")) {
    const auto equals = word.find('=');
    if (equals == std::string::npos) {
      offer_options(*at.app, out);
    } else if (word.starts_with("--")) {
      auto* option = option_of(*at.app, word.substr(2, equals - 2), false);
      out.before = word.substr(0, equals + 1);
      if (takes_value(option)) offer_values(*option, out);
    }
    return out;
  }
  const auto commands = at.app->get_subcommands([](const CLI::App*) { return true; });
  for (const auto* one : commands) out.words.push_back({one->get_name(), one->get_description()});
  if (!commands.empty()) return out;
  if (auto* option = positional_of(*at.app, at.positionals)) offer_values(*option, out);
  return out;
}
}  // namespace rustic::cli
