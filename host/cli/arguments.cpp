#include "host/cli/arguments.hpp"

#include <CLI/CLI.hpp>
#include <functional>
#include <rustic/schema.hpp>
#include <sstream>

#include "host/cli/exit_code.hpp"
#include "host/cli/limits.hpp"
#include "host/cli/terminal.hpp"

namespace rustic::cli {
namespace {

// An empty word is an unset variable of a script and means nothing.
CLI::Validator not_empty() {
  return {[](std::string& word) { return std::string(word.empty() ? "it is empty" : ""); }, ""};
}

void add_global(CLI::App& app, global_options& out) {
  app.add_option("--config", out.config_file, "Read this configuration file too")
      ->type_name("FILE");
  app.add_option("--set", out.set, "Set a key of the configuration for this run")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  app.add_option("--plugin-dir", out.plugin_dirs, "Look for plugins here first")
      ->type_name("DIR")
      ->allow_extra_args(false);
  app.add_option("-C,--directory", out.directory, "Work in this directory")->type_name("DIR");
  app.add_option("--log-level", out.log_level, "trace, debug, info, warn, error or off")
      ->check(CLI::IsMember({"trace", "debug", "info", "warn", "error", "off"}));
  app.add_option("--log-file", out.log_file, "Write the log here")->type_name("FILE");
  app.add_option("--log-format", out.log_format, "pretty or json")
      ->check(CLI::IsMember({"pretty", "json"}));
  app.add_flag("-v,--verbose", out.verbose, "Show the log on standard error; twice for more");
  app.add_flag("--no-color", out.no_color, "No colours");
}

void add_turn(CLI::App& app, turn_options& out) {
  app.add_option("--agent", out.agent, "The agent that answers")->type_name("AGENT");
  app.add_option("--provider", out.provider, "The provider to use")->type_name("PROVIDER");
  app.add_option("-m,--model", out.model, "The model, as MODEL or PROVIDER/MODEL")
      ->type_name("MODEL");
  auto* session = app.add_option("-r,--session,--resume", out.session,
                                 "Go on with this session (the beginning of its id will do)")
                      ->check(not_empty())
                      ->type_name("SESSION");
  app.add_flag("-c,--continue", out.continue_latest,
               "Go on with the latest session of this directory")
      ->excludes(session);
  app.add_option_function<std::string>(
         "--system",
         [&out](const std::string& text) {
           out.system = text;
           out.has_system = true;
         },
         "Replace the agent's system prompt")
      ->type_name("TEXT");
  app.add_option("--max-rounds", out.max_rounds, "Requests to the model in one turn")
      ->check(CLI::Range(std::int64_t{1}, rounds_max))
      ->type_name("N");
  app.add_option("--output-schema", out.output_schema,
                 "The answer is JSON that fits the JSON Schema in this file")
      ->check(not_empty())
      ->type_name("FILE");
  app.add_option("--permission-mode", out.permission_mode,
                 "default, accept-edits, read-only or bypass; configured denies hold in each")
      ->check(CLI::IsMember({"default", "accept-edits", "read-only", "bypass"}));
  app.add_option("--record", out.record_file, "Record this run to a file")->type_name("FILE");
  auto* replay =
      app.add_option("--replay", out.replay_file, "Replay a recorded run")->type_name("FILE");
  app.add_option("--tools", out.replay_tools,
                 "When replaying: tool results recorded, or tools run live")
      ->check(CLI::IsMember({"recorded", "live"}))
      ->needs(replay);
}

void add_output(CLI::App& app, turn_options& out) {
  app.add_option_function<std::string>(
         "-o,--output", [&out](const std::string& form) { out.output = output_form_from(form); },
         "text, json (one object) or stream-json (one event a line)")
      ->check(CLI::IsMember({"text", "json", "stream-json"}));
  app.add_flag("-q,--quiet", out.quiet, "Only the answer");
}

void add_list_output(CLI::App& app, bool& json) {
  app.add_option_function<std::string>(
         "-o,--output", [&json](const std::string& form) { json = form == "json"; }, "text or json")
      ->check(CLI::IsMember({"text", "json"}));
}

class command_line {
 public:
  command_line()
      : app_("An agentic AI runtime: talk to models, let them use tools, bring your own plugins.",
             "rustic-ai") {
    app_.set_version_flag("--version", version_text());
    app_.require_subcommand(0, 1);
    app_.fallthrough(false);
    add_global(app_, out_.global);
    add_turn(app_, out_.turn);
    add_output(app_, out_.turn);
    add_prompt(app_);
    add_conversations();
    add_sessions();
    add_configuration();
    add_plugins();
    add_others();
    // Last, because commands inherit it.
    app_.footer(
        "Without a command a conversation begins. Examples:\n"
        "  rustic-ai\n"
        "  rustic-ai -p \"What does this repository do?\"\n"
        "  git diff | rustic-ai chat \"Review this change\"\n"
        "  rustic-ai chat --output json \"...\" | jq .text\n"
        "  rustic-ai demo");
  }

  argument_offers offers(const std::vector<std::string>& words) { return offers_of(app_, words); }

  parsed parse(int count, const char* const* words) {
    parsed result;
    try {
      app_.parse(count, words);
      if (out_.what == command::repl && out_.turn.has_prompt) out_.what = command::chat;
      result.value = std::move(out_);
    } catch (const CLI::ParseError& problem) {
      std::ostringstream text, errors;
      const int status = app_.exit(problem, text, errors);
      const auto& reached = reached_app();
      // Words that were left over explain a missing one too.
      const bool unknown = !reached.remaining().empty() &&
                           (dynamic_cast<const CLI::ExtrasError*>(&problem) != nullptr ||
                            dynamic_cast<const CLI::RequiredError*>(&problem) != nullptr);
      result.hint = status == 0 ? "" : "see: " + words_so_far() + " --help";
      result.text = status == 0
                        ? text.str()
                        : "rustic-ai: " + (unknown ? unknown_word(reached) : problem.what()) +
                              "\n  " + result.hint + "\n";
      result.exit_status = status == 0 ? 0 : static_cast<int>(exit_code::usage);
    }
    return result;
  }

 private:
  // The command that the words named, as far as they were understood, or the program itself.
  const CLI::App& reached_app() const {
    const CLI::App* at = &app_;
    while (at->remaining_size() == 0 && !at->get_subcommands().empty())
      at = at->get_subcommands().back();
    return *at;
  }

  std::string words_so_far() const {
    std::string out;
    for (const CLI::App* at = &reached_app(); at; at = at->get_parent())
      out = at->get_name() + (out.empty() ? "" : " " + out);
    return out;
  }

  static std::string unknown_word(const CLI::App& at) {
    const auto word = at.remaining().front();
    std::vector<std::string> names;
    std::string kind = "option";
    if (word.starts_with('-')) {
      for (const auto* option : at.get_options())
        for (const auto& name : option->get_lnames()) names.push_back("--" + name);
    } else {
      for (const auto* command :
           at.get_subcommands([](const CLI::App* one) { return !one->get_name().empty(); }))
        names.push_back(command->get_name());
      kind = names.empty() ? "argument" : "command";
    }
    const auto nearest = nearest_word(word, {names.begin(), names.end()});
    return "unknown " + kind + " \"" + one_visible_line(word, unknown_word_columns_max) + "\"" +
           (nearest.empty() ? "" : "; is \"" + std::string(nearest) + "\" meant?");
  }

  void add_prompt(CLI::App& app) {
    app.add_option_function<std::string>(
           "-p,--prompt",
           [this](const std::string& text) {
             out_.turn.prompt += (out_.turn.prompt.empty() ? "" : " ") + text;
             out_.turn.has_prompt = true;
           },
           "Answer this one prompt and exit, as `chat` does")
        ->type_name("TEXT");
  }

  CLI::App& add(CLI::App& parent, const std::string& name, const std::string& text, command what) {
    auto* made = parent.add_subcommand(name, text);
    made->callback([this, what] { out_.what = what; });
    add_global(*made, out_.global);
    return *made;
  }

  void add_conversations() {
    auto& run = add(app_, "run", "Begin a conversation", command::repl);
    add_turn(run, out_.turn);
    auto& chat = add(app_, "chat", "Answer one prompt and exit", command::chat);
    add_turn(chat, out_.turn);
    add_output(chat, out_.turn);
    add_prompt(chat);
    chat.add_option_function<std::vector<std::string>>(
            "prompt",
            [this](const std::vector<std::string>& words) {
              for (const auto& word : words)
                out_.turn.prompt += (out_.turn.prompt.empty() ? "" : " ") + word;
              out_.turn.has_prompt = true;
            },
            "What to do; piped standard input is appended")
        ->type_name("TEXT");
    add(app_, "demo", "Play a recorded conversation; needs no key", command::demo);
  }

  void add_sessions() {
    auto& session = *app_.add_subcommand("session", "Look at and manage sessions");
    session.require_subcommand(1);
    auto& list = add(session, "list", "List sessions, the latest first", command::session_list);
    add_list_output(list, out_.json);
    list.add_option("-n,--limit", out_.limit, "How many")->check(CLI::Range(1, 1000));
    list.add_flag("-a,--all", out_.all, "Those of every directory");
    auto& show = add(session, "show", "Show a session's messages", command::session_show);
    show.add_option("id", out_.subject)->required()->type_name("SESSION");
    add_list_output(show, out_.json);
    auto& resume = add(session, "resume", "Go on with a session", command::session_resume);
    resume.add_option("id", out_.subject)->required()->type_name("SESSION");
    add_turn(resume, out_.turn);
    auto& exported =
        add(session, "export", "Write a session as a document", command::session_export);
    exported.add_option("id", out_.subject)->required()->type_name("SESSION");
    exported.add_option("--format", out_.format)->check(CLI::IsMember({"json", "markdown"}));
    exported.add_option("--to", out_.file, "A file; it is not overwritten")->type_name("FILE");
    auto& removed =
        add(session, "delete", "Delete a session and all it holds", command::session_delete);
    removed.add_option("id", out_.subject)->required()->type_name("SESSION");
    removed.add_flag("-f,--force", out_.force, "Do not ask");
  }

  void add_configuration() {
    auto& config = *app_.add_subcommand("config", "Look at and change the configuration");
    config.require_subcommand(1);
    const auto scoped = [this](CLI::App& app) {
      app.add_option("--scope", out_.scope, "user or project")
          ->check(CLI::IsMember({"user", "project"}));
    };
    scoped(add(config, "init", "Write a first configuration file", command::config_init));
    auto& show = add(config, "show", "Show the configuration in force", command::config_show);
    add_list_output(show, out_.json);
    auto& get = add(config, "get", "Show one key", command::config_get);
    get.add_option("key", out_.subject)->required()->type_name("KEY");
    add_list_output(get, out_.json);
    auto& set = add(config, "set", "Change one key in a file", command::config_set);
    set.add_option("key", out_.subject)->required()->type_name("KEY");
    set.add_option("value", out_.value)->required();
    scoped(set);
    auto& explain =
        add(config, "explain", "Tell where a key's value comes from", command::config_explain);
    explain.add_option("key", out_.subject)->required()->type_name("KEY");
    add_list_output(explain, out_.json);
    auto& validate = add(config, "validate", "Check every file", command::config_validate);
    add_list_output(validate, out_.json);
    auto& path = add(config, "path", "Show the files and directories in use", command::config_path);
    add_list_output(path, out_.json);
  }

  void add_plugins() {
    auto& plugin = *app_.add_subcommand("plugin", "Look at and manage plugins");
    plugin.require_subcommand(1);
    const auto one = [&](const char* name, const char* text, command what) -> CLI::App& {
      auto& made = add(plugin, name, text, what);
      made.add_option("id", out_.subject)->required()->check(not_empty())->type_name("PLUGIN");
      return made;
    };
    add_list_output(add(plugin, "list", "List all plugins, with the reason for what is not usable",
                        command::plugin_list),
                    out_.json);
    add_list_output(one("info", "Show what a plugin says about itself", command::plugin_info),
                    out_.json);
    auto& install =
        add(plugin, "install", "Put a plugin into your plugin directory", command::plugin_install);
    install.add_option("file", out_.subject, "A plugin file, or a directory of them")
        ->required()
        ->check(not_empty())
        ->type_name("FILE");
    install.add_flag("-f,--force", out_.force, "Replace another plugin of that id");
    one("remove", "Delete a plugin from your plugin directory", command::plugin_remove);
    one("enable", "Switch a plugin on; forgives one in quarantine", command::plugin_enable);
    one("disable", "Switch a plugin off", command::plugin_disable);
    one("reload", "Have running programs open a plugin's file anew", command::plugin_reload);
    add_list_output(
        add(plugin, "doctor", "Look for what keeps plugins from working", command::plugin_doctor),
        out_.json);
    add_validate(plugin);
    add_new(plugin);
  }

  void add_validate(CLI::App& plugin) {
    auto& validate = add(plugin, "validate", "Check a plugin file against the contract",
                         command::plugin_validate);
    auto& out = out_.validate;
    validate.add_option("file", out_.subject)->required()->check(not_empty())->type_name("FILE");
    validate.add_option("--only", out.only, "Only these checks or groups, with commas between")
        ->delimiter(',')
        ->allow_extra_args(false)
        ->type_name("NAME");
    validate.add_option("--strictness", out.strictness, "1 to 10")->check(CLI::Range(1, 10));
    validate.add_option("-o,--output", out.output, "text, json or junit")
        ->check(CLI::IsMember({"text", "json", "junit"}));
    validate.add_flag("--in-process", out.in_process, "No process for each check; for debuggers");
    validate.add_option("--seed", out.seed, "Of what is generated, to repeat a run")
        ->type_name("N");
  }

  void add_new(CLI::App& plugin) {
    auto& made = add(plugin, "new", "Write a new plugin project", command::plugin_new);
    auto& out = out_.new_plugin;
    made.add_option("name", out_.subject)->required()->check(not_empty())->type_name("NAME");
    made.add_option("--kind", out.kind, "tool, provider, storage, policy or engine")
        ->check(CLI::IsMember({"tool", "provider", "storage", "policy", "engine"}));
    made.add_option("--lang", out.lang, "c or cpp")->check(CLI::IsMember({"c", "cpp"}));
    made.add_option("--to", out.to, "The directory to make")->type_name("DIR");
  }

  void add_others() {
    auto& tools = *app_.add_subcommand("tools", "Look at tools");
    tools.require_subcommand(1);
    add_list_output(add(tools, "list", "List the tools that agents can use", command::tools_list),
                    out_.json);
    auto& agents = *app_.add_subcommand("agents", "Look at agents");
    agents.require_subcommand(1);
    add_list_output(add(agents, "list", "List the configured agents", command::agents_list),
                    out_.json);
    auto& models = add(app_, "models", "List the models that the providers offer", command::models);
    models.add_option("--provider", out_.subject, "Ask this one alone")
        ->check(not_empty())
        ->type_name("PROVIDER");
    add_list_output(models, out_.json);
    auto& doctor =
        add(app_, "doctor", "Look for what keeps the program from working", command::doctor);
    doctor.add_flag("--try", out_.try_them, "Ask each provider, too");
    add_list_output(doctor, out_.json);
    const auto of_directory = [this](CLI::App& made) {
      made.add_option("directory", out_.global.directory, "In the project; without it: this one")
          ->type_name("DIR");
    };
    of_directory(add(app_, "trust", "Let a project's configuration take effect", command::trust));
    of_directory(add(app_, "untrust", "Take that back", command::untrust));
    auto& completion = add(app_, "completion", "Print a completion script", command::completion);
    completion.add_option("shell", out_.subject, "bash, zsh or fish")
        ->required()
        ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  }

  CLI::App app_;
  arguments out_;
};
}  // namespace

std::string version_text() {
  return "rustic-ai " RUSTIC_VERSION;
}

argument_offers offers_for(const std::vector<std::string>& words) {
  return command_line().offers(words);
}

parsed parse_arguments(int count, const char* const* words) {
  return command_line().parse(count, words);
}
}  // namespace rustic::cli
