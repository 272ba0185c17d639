#include <cstdio>

#include "host/cli/commands.hpp"

namespace rustic::cli {
namespace {

constexpr const char* bash_script =
    R"script(# bash completion for rustic-ai; source it, or put it into /etc/bash_completion.d
_rustic_ai() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} word command= sub=
  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case $word in
      -*) ;;
      *) if [ -z "$command" ]; then command=$word; elif [ -z "$sub" ]; then sub=$word; fi ;;
    esac
  done
  case $previous in
    --output|-o) COMPREPLY=($(compgen -W "text json stream-json" -- "$current")); return ;;
    --permission-mode) COMPREPLY=($(compgen -W "default accept-edits read-only bypass" -- "$current")); return ;;
    --log-level) COMPREPLY=($(compgen -W "trace debug info warn error off" -- "$current")); return ;;
    --log-format) COMPREPLY=($(compgen -W "pretty json" -- "$current")); return ;;
    --scope) COMPREPLY=($(compgen -W "user project" -- "$current")); return ;;
    --format) COMPREPLY=($(compgen -W "json markdown" -- "$current")); return ;;
    --config|--record|--replay|--log-file|--to) COMPREPLY=($(compgen -f -- "$current")); return ;;
    -C|--directory|--plugin-dir) COMPREPLY=($(compgen -d -- "$current")); return ;;
  esac
  local words=
  case $command in
    "") words="chat run demo session config plugin tools agents models doctor trust untrust completion" ;;
    session) [ -z "$sub" ] && words="list show resume export delete" ;;
    config) [ -z "$sub" ] && words="init show get set explain validate path" ;;
    plugin) [ -z "$sub" ] && words="list info install remove enable disable reload validate new doctor" ;;
    tools|agents) [ -z "$sub" ] && words="list" ;;
    doctor) words="--try" ;;
    completion) words="bash zsh fish" ;;
  esac
  case $current in
    -*) words="--help --version --config --set --plugin-dir --directory --log-level --log-file --log-format --verbose --no-color --agent --provider --model --session --continue --system --max-rounds --permission-mode --record --replay --tools --output --quiet --prompt --try" ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _rustic_ai rustic-ai
)script";

constexpr const char* zsh_script = R"script(#compdef rustic-ai
# zsh completion for rustic-ai; put it as _rustic-ai into a directory of $fpath
_rustic_ai() {
  local -a commands options
  commands=(chat:'answer one prompt' run:'begin a conversation' demo:'play a recorded conversation'
    session:'sessions' config:'configuration' plugin:'plugins' tools:'tools' agents:'agents'
    models:'list models' doctor:'look for problems'
    trust:'trust this project' untrust:'take that back' completion:'completion script')
  options=(--help --version --config --set --plugin-dir --directory --log-level --log-file --log-format
    --verbose --no-color --agent --provider --model --session --continue --system --max-rounds
    --permission-mode --record --replay --tools --output --quiet --prompt --try)
  case $words[CURRENT-1] in
    --output|-o) compadd text json stream-json; return ;;
    --permission-mode) compadd default accept-edits read-only bypass; return ;;
    --log-level) compadd trace debug info warn error off; return ;;
    --scope) compadd user project; return ;;
    --format) compadd json markdown; return ;;
    --config|--record|--replay|--log-file|--to) _files; return ;;
    -C|--directory|--plugin-dir) _files -/; return ;;
  esac
  if [[ $words[CURRENT] == -* ]]; then compadd -- $options; return; fi
  if (( CURRENT == 2 )); then _describe command commands; return; fi
  case $words[2] in
    session) compadd list show resume export delete ;;
    config) compadd init show get set explain validate path ;;
    plugin) compadd list info install remove enable disable reload validate new doctor ;;
    tools|agents) compadd list ;;
    completion) compadd bash zsh fish ;;
    *) _files ;;
  esac
}
_rustic_ai "$@"
)script";

constexpr const char* fish_script =
    R"script(# fish completion for rustic-ai; put it into ~/.config/fish/completions/rustic-ai.fish
set -l commands chat run demo session config plugin tools agents models doctor trust untrust completion
complete -c rustic-ai -f
complete -c rustic-ai -n "not __fish_seen_subcommand_from $commands" -a "$commands"
complete -c rustic-ai -n "__fish_seen_subcommand_from session" -a "list show resume export delete"
complete -c rustic-ai -n "__fish_seen_subcommand_from config" -a "init show get set explain validate path"
complete -c rustic-ai -n "__fish_seen_subcommand_from plugin" -a "list info install remove enable disable reload validate new doctor"
complete -c rustic-ai -n "__fish_seen_subcommand_from tools agents" -a "list"
complete -c rustic-ai -n "__fish_seen_subcommand_from completion" -a "bash zsh fish"
complete -c rustic-ai -s o -l output -x -a "text json stream-json" -d "Form of the output"
complete -c rustic-ai -l permission-mode -x -a "default accept-edits read-only bypass"
complete -c rustic-ai -s m -l model -x -d "MODEL or PROVIDER/MODEL"
complete -c rustic-ai -l agent -x -d "Agent"
complete -c rustic-ai -l provider -x -d "Provider"
complete -c rustic-ai -s r -l session -x -d "Session"
complete -c rustic-ai -s c -l continue -d "Go on with the latest session"
complete -c rustic-ai -s p -l prompt -x -d "One prompt"
complete -c rustic-ai -s C -l directory -x -a "(__fish_complete_directories)" -d "Work there"
complete -c rustic-ai -l config -r -F -d "Configuration file"
complete -c rustic-ai -l log-level -x -a "trace debug info warn error off"
complete -c rustic-ai -l scope -x -a "user project"
complete -c rustic-ai -n "__fish_seen_subcommand_from doctor" -l try -d "Ask each provider"
complete -c rustic-ai -s q -l quiet -d "Only the answer"
complete -c rustic-ai -s v -l verbose -d "Show the log"
)script";
}  // namespace

exit_code completion_command(const arguments& given) {
  const auto* script = given.subject == "bash"  ? bash_script
                       : given.subject == "zsh" ? zsh_script
                                                : fish_script;
  std::fputs(script, stdout);
  return exit_code::done;
}
}  // namespace rustic::cli
