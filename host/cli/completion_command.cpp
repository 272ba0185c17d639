#include <cstdio>
#include <filesystem>

#include "host/cli/commands.hpp"
#include "host/cli/limits.hpp"
#include "host/cli/plugin_survey.hpp"
#include "host/cli/terminal.hpp"
#include "host/runtime/config/check.hpp"
#include "host/runtime/config/key_path.hpp"

namespace rustic::cli {
namespace {

// The scripts only ask the program, which knows its own commands, options and configuration. It is
// the program of the line being completed, so that a second one in another place answers for
// itself.
constexpr const char* bash_script =
    R"script(# bash completion for rustic-ai; source it, or put it into /etc/bash_completion.d
_rustic_ai() {
  local program=${COMP_WORDS[0]} current=${COMP_WORDS[COMP_CWORD]} kind word about
  program=${program/#\~\//$HOME/}
  type "$program" >/dev/null 2>&1 || program=rustic-ai
  COMPREPLY=()
  {
    read -r kind
    while IFS=$'\t' read -r word about; do
      printf -v word %q "$word"
      COMPREPLY+=("$word")
    done
  } < <("$program" __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
  case $kind in
    files) compopt -o default 2>/dev/null ;;
    directories) compopt -o dirnames 2>/dev/null ;;
  esac
  return 0
}
complete -F _rustic_ai rustic-ai
)script";

constexpr const char* zsh_script = R"script(#compdef rustic-ai
# zsh completion for rustic-ai; put it as _rustic-ai into a directory of $fpath, or source it
_rustic_ai() {
  local program=${(Q)words[1]} kind word about
  local -a offers
  program=${program/#\~\//$HOME/}
  (( $+commands[$program] )) || [[ -x $program ]] || program=rustic-ai
  {
    read -r kind
    while IFS=$'\t' read -r word about; do
      offers+=("${word//:/\\:}${about:+:$about}")
    done
  } < <("$program" __complete "${(@Q)words[2,CURRENT]}" 2>/dev/null)
  case $kind in
    files) _files ;;
    directories) _files -/ ;;
    *) (( $#offers )) && _describe -t arguments argument offers ;;
  esac
}
if [[ ${funcstack[1]} == _rustic* ]]; then _rustic_ai "$@"; else compdef _rustic_ai rustic-ai; fi
)script";

constexpr const char* fish_script =
    R"script(# fish completion for rustic-ai; put it into ~/.config/fish/completions/rustic-ai.fish
function __rustic_ai_complete
  set -l words (commandline -opc)
  set -l current (commandline -ct)
  set -l program $words[1]
  type -q -- $program; or set program rustic-ai
  set -l answer ($program __complete $words[2..-1] "$current" 2>/dev/null)
  switch "$answer[1]"
    case files
      __fish_complete_path "$current"
    case directories
      __fish_complete_directories "$current"
    case '*'
      test (count $answer) -gt 1; and printf '%s\n' $answer[2..-1]
  end
end
complete -c rustic-ai -f -a '(__rustic_ai_complete)'
)script";

// The keys of the schema below `schema`; where names are free, those that are in use.
void add_keys(const json::value& root, const json::value* schema, const json::value* in_use,
              const std::string& base, std::vector<argument_offer>& out) {
  if (out.size() >= offered_keys_max) return;
  schema = config::follow(root, schema);
  if (!schema || !schema->is_object()) return;
  const auto* table = in_use ? in_use->if_object() : nullptr;
  std::vector<std::string> names;
  for (const auto name : config::known_keys(root, schema)) names.emplace_back(name);
  if (table && !find(schema->get_object(), "properties"))
    for (const auto& entry : *table) names.emplace_back(entry.key());
  if (names.empty() && !base.empty()) {
    out.push_back({base, std::string(text_or(schema->get_object(), "description"))});
    return;
  }
  for (const auto& name : names)
    add_keys(root, config::member_schema(root, schema, name),
             table ? table->if_contains(name) : nullptr, config::join(base, name), out);
}

void add_sessions(program& with, std::vector<argument_offer>& out) {
  std::error_code problem;
  if (!std::filesystem::exists(with.configuration().view().paths.data_dir, problem)) return;
  const json::object query{{"workspace", with.workspace().string()},
                           {"limit", sessions_listed_max}};
  const auto found = with.runtime().call("rustic.conversation/default", "list", query);
  for (const auto& value : array_or_empty(found, "sessions"))
    out.push_back({std::string(text_or(value.as_object(), "id")),
                   std::string(text_or(value.as_object(), "title"))});
}

void add_names(const std::string& what, std::vector<argument_offer>& out) {
  program with(global_options{});
  with.set_quiet(true);
  const auto& view = with.configuration().view();
  if (what == "agent")
    for (const auto& one : view.agents) out.push_back({one.name, one.description});
  if (what == "provider")
    for (const auto& one : view.providers) out.push_back({one.name, one.model});
  if (what == "model")
    for (const auto& one : view.providers) {
      if (!one.model.empty()) out.push_back({one.name + "/" + one.model, ""});
      for (const auto& name : one.models)
        if (name != one.model) out.push_back({one.name + "/" + name, ""});
    }
  if (what == "plugin")
    for (const auto& one : plugin_survey(with).plugins)
      out.push_back({one.name(), one.file.about.description});
  if (what == "key") {
    const auto schema = config::configuration_schema();
    const json::value in_use(with.configuration().value());
    add_keys(schema, &schema, &in_use, {}, out);
  }
  if (what == "session") add_sessions(with, out);
}
}  // namespace

exit_code completion_command(const arguments& given) {
  const auto* script = given.subject == "bash"  ? bash_script
                       : given.subject == "zsh" ? zsh_script
                                                : fish_script;
  std::fputs(script, stdout);
  return exit_code::done;
}

exit_code complete_command(const std::vector<std::string>& words) {
  auto offers = offers_for(words);
  if (offers.what == argument_offers::kind::names) {
    try {
      add_names(offers.named, offers.words);
    } catch (const failure&) {  // a configuration that is broken names nothing
    }
  }
  const auto kind = offers.what == argument_offers::kind::files         ? "files"
                    : offers.what == argument_offers::kind::directories ? "directories"
                                                                        : "words";
  std::puts(kind);
  const auto current = words.empty() || words.back() == "=" ? std::string() : words.back();
  for (const auto& one : offers.words) {
    const auto word = offers.before + one.word;
    if (word.starts_with(current) && visible(word) == word && word.find('\n') == std::string::npos)
      std::printf("%s\t%s\n", word.c_str(),
                  one_visible_line(one.about, offer_about_columns_max).c_str());
  }
  return exit_code::done;
}
}  // namespace rustic::cli
