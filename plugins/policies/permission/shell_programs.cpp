// Tables about well-known programs, and how wrappers read their own options.
#include "shell_programs.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <span>

namespace rustic::permission {
namespace {

using names = std::span<const std::string_view>;

bool among(std::string_view word, names list) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

constexpr std::array<std::string_view, 14> shells = {"sh",   "bash", "dash",  "zsh",   "ksh",
                                                     "mksh", "ash",  "fish",  "rbash", "csh",
                                                     "tcsh", "yash", "ksh93", "posh"};

constexpr std::string_view elevators[] = {"sudo", "doas", "pkexec"};

constexpr std::string_view builtins[] = {
    "eval",     "source",  ".",        "exec",     "trap",    "alias",   "unalias",
    "enable",   "hash",    "bind",     "complete", "compgen", "mapfile", "readarray",
    "let",      "fc",      "jobs",     "export",   "declare", "typeset", "local",
    "readonly", "set",     "shopt",    "coproc",   "unset",   "read",    "getopts",
    "history",  "compopt", "callback", "autoload", "emulate"};

constexpr std::string_view runners[] = {"xargs",
                                        "parallel",
                                        "watch",
                                        "script",
                                        "strace",
                                        "ltrace",
                                        "flock",
                                        "unshare",
                                        "chroot",
                                        "nsenter",
                                        "su",
                                        "runuser",
                                        "sg",
                                        "newgrp",
                                        "systemd-run",
                                        "ssh",
                                        "entr",
                                        "setarch",
                                        "taskset",
                                        "chrt",
                                        "numactl",
                                        "firejail",
                                        "bwrap",
                                        "proxychains",
                                        "torify",
                                        "torsocks",
                                        "fakeroot",
                                        "xvfb-run",
                                        "dbus-run-session",
                                        "expect",
                                        "screen",
                                        "tmux",
                                        "at",
                                        "batch",
                                        "crontab",
                                        "gdb",
                                        "valgrind",
                                        "perf",
                                        "ld.so",
                                        "make-kpkg",
                                        "start-stop-daemon",
                                        "daemonize",
                                        "rsh",
                                        "sshpass",
                                        "mosh",
                                        "fd",
                                        "fdfind",
                                        "prlimit",
                                        "catchsegv",
                                        "unbuffer",
                                        "rlwrap",
                                        "dtach",
                                        "capsh",
                                        "setpriv",
                                        "gosu",
                                        "su-exec",
                                        "tini",
                                        "dumb-init",
                                        "cpulimit",
                                        "sem",
                                        "linux32",
                                        "linux64",
                                        "i386",
                                        "x86_64",
                                        "machinectl",
                                        "run-parts",
                                        "ionice-run",
                                        "chpst",
                                        "setuidgid",
                                        "eatmydata",
                                        "faketime",
                                        "busctl",
                                        "direnv",
                                        "dotenv",
                                        "hyperfine",
                                        "nq",
                                        "env-cmd",
                                        "caffeinate",
                                        "arch",
                                        "cmd",
                                        "powershell",
                                        "pwsh",
                                        "wsl"};

constexpr std::string_view interpreters[] = {
    "python", "python2", "python3", "perl",  "ruby",    "node",   "nodejs",  "deno",   "bun",
    "php",    "lua",     "luajit",  "tclsh", "wish",    "awk",    "gawk",    "mawk",   "nawk",
    "sed",    "R",       "Rscript", "julia", "ghci",    "java",   "scala",   "groovy", "osascript",
    "ed",     "ex",      "vi",      "vim",   "nvim",    "emacs",  "nano",    "less",   "more",
    "man",    "sqlite3", "psql",    "mysql", "guile",   "racket", "octave",  "jshell", "m4",
    "bc",     "dc",      "find",    "tar",   "zip",     "rsync",  "make",    "gmake",  "ninja",
    "cmake",  "npx",     "pnpx",    "uvx",   "pipx",    "tsx",    "ts-node", "curl",   "wget",
    "nc",     "ncat",    "socat",   "dd",    "openssl", "patch",  "fdisk",   "sftp"};

constexpr std::string_view viewers[] = {
    "ls",      "cat",       "head",      "tail",      "wc",       "grep",    "egrep",    "fgrep",
    "pwd",     "stat",      "du",        "df",        "basename", "dirname", "realpath", "readlink",
    "cut",     "tr",        "nl",        "tac",       "rev",      "cmp",     "comm",     "diff",
    "md5sum",  "sha1sum",   "sha256sum", "sha512sum", "cksum",    "whoami",  "id",       "uname",
    "uptime",  "free",      "nproc",     "true",      "false",    "test",    "[",        "echo",
    "seq",     "sleep",     "which",     "type",      "printenv", "ps",      "strings",  "od",
    "hexdump", "jq",        "column",    "fold",      "expand",   "paste",   "join",     "lsblk",
    "lscpu",   "arch-info", "getconf",   "locale",    ":",        "groups",  "tty",      "cal",
    "look",    "numfmt",    "tsort",     "zcat"};

constexpr std::string_view plain_programs[] = {
    "tree",         "xxd",        "file",     "rm",      "cp",     "mv",      "mkdir",   "rmdir",
    "touch",        "ln",         "chmod",    "chown",   "chgrp",  "tee",     "sort",    "uniq",
    "shuf",         "split",      "csplit",   "kill",    "pkill",  "killall", "date",    "mktemp",
    "install",      "shred",      "truncate", "printf",  "gzip",   "gunzip",  "bzip2",   "xz",
    "zstd",         "unzip",      "rg",       "ag",      "ack",    "gcc",     "g++",     "clang",
    "clang++",      "cc",         "c++",      "ld",      "nm",     "objdump", "readelf", "strip",
    "ar",           "hostname",   "dmesg",    "mount",   "umount", "mkfs",    "reboot",  "shutdown",
    "halt",         "poweroff",   "umask",    "ulimit",  "wait",   "cd",      "exit",    "return",
    "shift",        "break",      "continue", "bg",      "disown", "pushd",   "popd",    "dirs",
    "clang-format", "clang-tidy", "ctags",    "iconv",   "base64", "ping",    "dig",     "nslookup",
    "host",         "ip",         "ss",       "netstat", "lsof",   "pgrep",   "top",     "htop",
    "scp",          "useradd",    "userdel",  "usermod", "passwd", "chattr",  "setfacl", "unlink",
    "link",         "mkfifo",     "mknod",    "sync",    "ctest",  "pytest",  "mypy",    "ruff",
    "black",        "eslint",     "prettier", "tsc",     "jest",   "vitest",  "rustc",   "rustfmt"};

constexpr std::string_view multi_verbs[] = {
    "git",        "npm",     "pnpm",    "yarn",      "cargo",     "rustup",   "docker", "podman",
    "kubectl",    "helm",    "apt",     "apt-get",   "apt-cache", "dpkg",     "dnf",    "yum",
    "pacman",     "brew",    "snap",    "pip",       "pip3",      "uv",       "poetry", "conda",
    "go",         "gh",      "glab",    "terraform", "aws",       "gcloud",   "az",     "systemctl",
    "journalctl", "bazel",   "dotnet",  "mvn",       "gradle",    "composer", "bundle", "gem",
    "mix",        "flutter", "svn",     "hg",        "jj",        "meson",    "nix",    "zypper",
    "apk",        "flatpak", "service", "virsh",     "vagrant",   "heroku",   "fly",    "vercel",
    "stack",      "cabal"};

// Verbs that run whatever follows them, or set what will be run: never remembered by the verb
// alone.
struct verb_exception {
  std::string_view program;
  std::string_view verb;
};
constexpr verb_exception running_verbs[] = {{"git", "bisect"},
                                            {"git", "config"},
                                            {"git", "filter-branch"},
                                            {"git", "submodule"},
                                            {"git", "rebase"},
                                            {"git", "difftool"},
                                            {"git", "mergetool"},
                                            {"git", "grep"},
                                            {"git", "clean"},
                                            {"git", "reset"},
                                            {"git", "push"},
                                            {"git", "daemon"},
                                            {"npm", "exec"},
                                            {"npm", "x"},
                                            {"npm", "config"},
                                            {"npm", "run"},
                                            {"npm", "run-script"},
                                            {"npm", "publish"},
                                            {"npm", "init"},
                                            {"npm", "create"},
                                            {"pnpm", "exec"},
                                            {"pnpm", "dlx"},
                                            {"pnpm", "run"},
                                            {"pnpm", "publish"},
                                            {"yarn", "exec"},
                                            {"yarn", "dlx"},
                                            {"yarn", "run"},
                                            {"yarn", "publish"},
                                            {"cargo", "publish"},
                                            {"cargo", "run"},
                                            {"rustup", "run"},
                                            {"docker", "run"},
                                            {"docker", "exec"},
                                            {"docker", "compose"},
                                            {"docker", "buildx"},
                                            {"podman", "run"},
                                            {"podman", "exec"},
                                            {"kubectl", "exec"},
                                            {"kubectl", "run"},
                                            {"kubectl", "delete"},
                                            {"kubectl", "debug"},
                                            {"kubectl", "apply"},
                                            {"uv", "run"},
                                            {"uv", "tool"},
                                            {"poetry", "run"},
                                            {"conda", "run"},
                                            {"go", "run"},
                                            {"go", "generate"},
                                            {"go", "tool"},
                                            {"gh", "api"},
                                            {"gh", "extension"},
                                            {"gh", "alias"},
                                            {"bundle", "exec"},
                                            {"composer", "exec"},
                                            {"composer", "run"},
                                            {"bazel", "run"},
                                            {"nix", "run"},
                                            {"nix", "shell"},
                                            {"nix", "develop"},
                                            {"stack", "exec"},
                                            {"cabal", "exec"},
                                            {"cabal", "run"},
                                            {"mix", "run"},
                                            {"dotnet", "run"},
                                            {"dotnet", "exec"},
                                            {"terraform", "apply"},
                                            {"terraform", "destroy"},
                                            {"helm", "plugin"}};

// Where a program that is no wrapper takes a command from its arguments. options: long ones, which
// may be shortened, and letters; verbs: its first operand; empty program: any of the kind
// multi_verb.
struct running_use {
  std::string_view program;
  std::string_view long_options;  // " --filter "
  std::string_view letters;       // -X, also with the value attached
  std::string_view verbs;         // " exec "
};
constexpr running_use running_uses[] = {
    {"git", " --upload-pack --receive-pack --exec --open-files-in-pager --extcmd ", "",
     " bisect config filter-branch submodule rebase difftool mergetool "},
    {"", "", "",
     " run exec x dlx explore tool shell develop ssh sh compose debug extension alias config "},
    {"hg", " --config --config-file ", "", ""},
    {"svn", " --config-option --diff-cmd --diff3-cmd --editor-cmd ", "", ""},
    {"apt", " --option ", "o", ""},
    {"apt-get", " --option ", "o", ""},
    {"dpkg", " --pre-invoke --post-invoke --status-logger ", "", ""},
    {"sort", " --compress-program ", "", ""},
    {"split", " --filter ", "", ""},
    {"install", " --strip-program ", "", ""},
    {"rg", " --pre --hostname-bin ", "", ""},
    {"ag", " --pager ", "", ""},
    {"ack", " --pager ", "", ""},
    {"scp", " ", "So", ""},
    {"ip", " ", "", " exec netns vrf "},
    {"gcc", " -wrapper ", "", ""},
    {"g++", " -wrapper ", "", ""},
    {"cc", " -wrapper ", "", ""},
    {"c++", " -wrapper ", "", ""},
    {"ctest", " --build-and-test --test-command ", "", ""}};

// How a wrapper reads its own options.
struct wrapper_rule {
  std::string_view name;
  std::string_view flags;        // short options without a value
  std::string_view valued;       // short options with a value
  std::string_view long_flags;   // " --foreground --verbose "
  std::string_view long_valued;  // " --signal "
  std::size_t operands;          // words before the command
  bool assignments;              // takes NAME=VALUE before the command
  bool numeric;                  // takes -5
};
constexpr wrapper_rule wrappers[] = {
    {"env", "i0v", "u", " --ignore-environment --null --debug ", " --unset ", 0, true, false},
    {"timeout", "v", "ks", " --foreground --preserve-status --verbose ", " --kill-after --signal ",
     1, false, false},
    {"nice", "", "n", " ", " --adjustment ", 0, false, true},
    {"nohup", "", "", " ", " ", 0, false, false},
    {"setsid", "cfw", "", " --ctty --fork --wait ", " ", 0, false, false},
    {"time", "pvaq", "f", " --portability --verbose --append --quiet ", " --format ", 0, false,
     false},
    {"stdbuf", "", "ioe", " ", " --input --output --error ", 0, false, false},
    {"ionice", "t", "cn", " --ignore ", " --class --classdata ", 0, false, false},
    {"command", "p", "", " ", " ", 0, false, false},
    {"builtin", "", "", " ", " ", 0, false, false},
    {"busybox", "", "", " ", " ", 0, false, false},
    {"toybox", "", "", " ", " ", 0, false, false},
    {"sudo", "EHnSbkPA", "ughpCrtTDRU",
     " --preserve-env --set-home --non-interactive --stdin --background --reset-timestamp "
     "--preserve-groups --askpass ",
     " --user --group --host --prompt --close-from --role --type --command-timeout --chdir "
     "--chroot ",
     0, true, false},
    {"doas", "nL", "u", " ", " ", 0, false, false},
    {"pkexec", "", "", " --disable-internal-agent --keep-cwd ", " --user ", 0, false, false}};

const wrapper_rule* find_wrapper(std::string_view name) {
  for (const wrapper_rule& rule : wrappers)
    if (rule.name == name) return &rule;
  return nullptr;
}

bool in_list(std::string_view list, std::string_view word) {
  std::string padded = " ";
  padded.append(word);
  padded.push_back(' ');
  return list.find(padded) != std::string_view::npos;
}

bool is_assignment(std::string_view word) {
  const std::size_t equals = word.find('=');
  return equals != std::string_view::npos && equals > 0 && word.front() != '-';
}

std::string_view base(std::string_view word) {
  const std::size_t slash = word.rfind('/');
  return slash == std::string_view::npos ? word : word.substr(slash + 1);
}

// Whether some name of the list begins so; GNU programs take any unambiguous beginning.
bool begins_one(std::string_view list, std::string_view option) {
  option = option.substr(0, option.find('='));
  if (option.size() < 4 || option.front() != '-') return false;
  const std::size_t at = list.find(" " + std::string(option));
  return at != std::string_view::npos;
}

bool used_so(const running_use& use, const std::vector<std::string>& argv) {
  bool before_verb = true;
  for (std::size_t i = 1; i < argv.size(); ++i) {
    const std::string_view word = argv[i];
    if (word.starts_with('-')) {
      if (begins_one(use.long_options, word)) return true;
      if (word.size() > 1 && word[1] != '-' && use.letters.find(word[1]) != std::string_view::npos)
        return true;
    } else if (before_verb) {
      if (in_list(use.verbs, word)) return true;
      // A word after an option may be the option's value and not the verb.
      before_verb = argv[i - 1].starts_with('-');
    }
  }
  return false;
}

// git's options before the verb, and the letters that mean a program only after some verbs.
bool git_runs_arguments(const std::vector<std::string>& argv) {
  std::size_t i = 1;
  for (; i < argv.size() && argv[i].starts_with('-'); ++i) {
    const std::string_view word = argv[i];
    if (word.starts_with("-c") || word.starts_with("--config-env") ||
        word.starts_with("--exec-path="))
      return true;
    if (word == "-C" || word == "--git-dir" || word == "--work-tree" || word == "--namespace") ++i;
  }
  if (i >= argv.size()) return false;
  const std::string_view verb = argv[i];
  const char letter = verb == "grep" ? 'O' : verb == "clone" ? 'u' : '\0';
  for (++i; letter != '\0' && i < argv.size(); ++i)
    if (argv[i].size() > 1 && argv[i][0] == '-' && argv[i][1] == letter) return true;
  return false;
}

enum class option_step { taken, taken_with_next, unclear };

option_step read_option(const wrapper_rule& rule, std::string_view word) {
  if (word.starts_with("--")) {
    const std::size_t equals = word.find('=');
    const std::string_view name = word.substr(0, equals);
    if (in_list(rule.long_flags, name)) {
      // Only --preserve-env=LIST is written with a value among these.
      return equals == std::string_view::npos || name == "--preserve-env" ? option_step::taken
                                                                          : option_step::unclear;
    }
    if (in_list(rule.long_valued, name))
      return equals == std::string_view::npos ? option_step::taken_with_next : option_step::taken;
    return option_step::unclear;
  }
  const std::string_view letters = word.substr(1);
  if (rule.numeric &&
      std::all_of(letters.begin(), letters.end(), [](char c) { return c >= '0' && c <= '9'; }))
    return option_step::taken;
  for (std::size_t i = 0; i < letters.size(); ++i) {
    if (rule.valued.find(letters[i]) != std::string_view::npos)
      return i + 1 == letters.size() ? option_step::taken_with_next : option_step::taken;
    if (rule.flags.find(letters[i]) == std::string_view::npos) return option_step::unclear;
  }
  return option_step::taken;
}

}  // namespace

program_kind kind_of(std::string_view name) {
  if (among(name, shells)) return program_kind::shell;
  if (among(name, builtins)) return program_kind::builtin;
  if (among(name, elevators)) return program_kind::elevator;
  if (find_wrapper(name) != nullptr) return program_kind::wrapper;
  if (among(name, runners)) return program_kind::runner;
  if (among(name, interpreters)) return program_kind::interpreter;
  if (among(name, viewers)) return program_kind::viewer;
  if (among(name, plain_programs)) return program_kind::plain;
  if (among(name, multi_verbs)) return program_kind::multi_verb;
  if (name.starts_with("mkfs.")) return program_kind::plain;
  // python3.11, perl5.36: versioned interpreters.
  for (std::string_view known : interpreters)
    if (name.size() > known.size() && name.starts_with(known) &&
        name.substr(known.size()).find_first_not_of("0123456789.-") == std::string_view::npos)
      return program_kind::interpreter;
  if (name.starts_with("ld-linux")) return program_kind::runner;
  return program_kind::unknown;
}

bool posix_shell(std::string_view name) {
  return name == "sh" || name == "bash" || name == "dash" || name == "ash";
}

bool runs_arguments(const std::vector<std::string>& argv) {
  if (argv.empty()) return false;
  const std::string_view name = base(argv[0]);
  const program_kind kind = kind_of(name);
  if (kind != program_kind::plain && kind != program_kind::multi_verb) return false;
  if (name == "git" && git_runs_arguments(argv)) return true;
  for (const running_use& use : running_uses)
    if (use.program == name ||
        (use.program.empty() && kind == program_kind::multi_verb && name != "git"))
      if (used_so(use, argv)) return true;
  return false;
}

bool input_decides(std::string_view name) {
  const program_kind kind = kind_of(name);
  return kind != program_kind::viewer && kind != program_kind::plain;
}

unwrapped unwrap(const std::vector<std::string>& argv) {
  unwrapped out;
  if (argv.empty()) return out;
  const std::string_view name = base(argv[0]);
  const wrapper_rule* rule = find_wrapper(name);
  if (rule == nullptr) return out;
  std::size_t i = 1;
  for (; i < argv.size(); ++i) {
    const std::string_view word = argv[i];
    if (word == "--") {
      ++i;
      break;
    }
    if (word == "-" && name == "env") continue;
    if (word.size() < 2 || word.front() != '-') break;
    // `command -v NAME` asks where NAME is; it runs nothing.
    if (name == "command" && (word == "-v" || word == "-V")) {
      out.result = unwrapped::status::none;
      return out;
    }
    switch (read_option(*rule, word)) {
      case option_step::taken:
        break;
      case option_step::taken_with_next:
        ++i;
        break;
      case option_step::unclear:
        return out;
    }
  }
  if (rule->assignments)
    for (; i < argv.size() && is_assignment(argv[i]); ++i) out.env.push_back(argv[i]);
  if (i < argv.size()) i = std::min(argv.size(), i + rule->operands);
  if (i >= argv.size()) {
    out.result = unwrapped::status::none;
    return out;
  }
  // After its operands a wrapper expects a program, not one more option.
  if (argv[i].empty() || argv[i].front() == '-') return out;
  out.result = unwrapped::status::command;
  out.begin = i;
  return out;
}

std::size_t script_index(const std::vector<std::string>& argv) {
  bool has_script = false;
  std::size_t i = 1;
  for (; i < argv.size(); ++i) {
    const std::string_view word = argv[i];
    if (word == "--norc" || word == "--noprofile" || word == "--posix" || word == "--login")
      continue;
    if (word == "--") {
      ++i;
      break;
    }
    if (word.size() < 2 || (word.front() != '-' && word.front() != '+')) break;
    for (char letter : word.substr(1)) {
      if (letter == 'c' && word.front() == '-')
        has_script = true;
      else if (std::string_view("aefhlmnpuvxBCEH").find(letter) == std::string_view::npos &&
               letter != 'o')
        return 0;
    }
    if (word.find('o', 1) != std::string_view::npos) ++i;
  }
  return has_script && i < argv.size() ? i : 0;
}

bool harmless_variable(std::string_view name) {
  static constexpr std::string_view known[] = {"LANG",
                                               "LANGUAGE",
                                               "TZ",
                                               "TERM",
                                               "COLUMNS",
                                               "LINES",
                                               "NO_COLOR",
                                               "FORCE_COLOR",
                                               "CLICOLOR",
                                               "CLICOLOR_FORCE",
                                               "COLORTERM",
                                               "CI",
                                               "DEBIAN_FRONTEND",
                                               "RUST_BACKTRACE",
                                               "RUST_LOG",
                                               "NODE_ENV",
                                               "PYTHONUNBUFFERED",
                                               "PYTHONDONTWRITEBYTECODE",
                                               "CARGO_TERM_COLOR",
                                               "GOOS",
                                               "GOARCH",
                                               "CGO_ENABLED",
                                               "GIT_TERMINAL_PROMPT",
                                               "VERBOSE",
                                               "V",
                                               "CTEST_OUTPUT_ON_FAILURE",
                                               "SOURCE_DATE_EPOCH",
                                               "MALLOC_ARENA_MAX"};
  return name.starts_with("LC_") || among(name, known);
}

std::size_t verb_words(const std::vector<std::string>& argv) {
  if (argv.empty()) return 0;
  // A path names one file; the same name elsewhere is another program.
  const program_kind kind = kind_of(argv[0]);
  if (kind == program_kind::viewer) return 1;
  if (kind != program_kind::multi_verb || argv.size() < 2 || runs_arguments(argv)) return 0;
  const std::string& verb = argv[1];
  if (verb.empty() || !std::isalpha(static_cast<unsigned char>(verb.front()))) return 0;
  for (const verb_exception& exception : running_verbs)
    if (exception.program == argv[0] && exception.verb == verb) return 0;
  return 2;
}

}  // namespace rustic::permission
