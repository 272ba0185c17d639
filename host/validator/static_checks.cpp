// static_checks.cpp - what the file says about itself without being loaded.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <set>

#include "host/validator/trial.hpp"

namespace rustic::validator {
namespace {
constexpr std::string_view entry_prefix = "rai_plugin_entry_v";

void elf(trial& t) {
  const auto read = elf_image::open(t.file());
  t.expect(read.image != nullptr, "a complete shared object for this machine", read.problem);
}

void note(trial& t) {
  const auto count = t.elf().manifest_notes().size();
  t.expect(count == 1, "one note of the owner \"Rustic\" with the manifest",
           std::to_string(count) + " of them");
}

void mode(trial& t) {
  struct stat status {};
  if (::stat(t.file().c_str(), &status) != 0) t.skip("its status cannot be read");
  t.expect((status.st_mode & (S_IWGRP | S_IWOTH)) == 0, "only its owner may write the file",
           "its group or everybody may");
  t.expect(status.st_uid == 0 || status.st_uid == ::geteuid(), "it belongs to you or to root",
           "it belongs to uid " + std::to_string(status.st_uid));
}

void exports(trial& t) {
  std::string others;
  std::size_t entries = 0;
  for (const auto& one : t.elf().symbols()) {
    if (!one.defined || one.name.empty() || one.bind == STB_LOCAL || one.bind == STB_GNU_UNIQUE)
      continue;
    if (one.name.starts_with(entry_prefix))
      ++entries;
    else if (others.size() < 200)
      others += (others.empty() ? "" : ", ") + one.name;
  }
  t.expect(entries >= 1, "rai_plugin_entry_v1 is exported", "it is not");
  t.expect(others.empty(), "rai_plugin_entry_v1 alone is exported", "also: " + others);
}

void unique(trial& t) {
  for (const auto& one : t.elf().symbols())
    t.expect(!(one.defined && one.bind == STB_GNU_UNIQUE), "no symbol of the kind GNU_UNIQUE",
             one.name);
}

void stack(trial& t) {
  for (const auto& segment : t.elf().segments())
    if (segment.p_type == PT_GNU_STACK) {
      t.expect((segment.p_flags & PF_X) == 0, "a stack without the right to execute",
               "it asks for an executable stack");
      return;
    }
  t.fail("a PT_GNU_STACK header", "none, which makes every stack of the process executable");
}

void writable_code(trial& t) {
  for (const auto& segment : t.elf().segments())
    t.expect(segment.p_type != PT_LOAD || (segment.p_flags & (PF_W | PF_X)) != (PF_W | PF_X),
             "no memory that is writable and executable", "a segment is both");
}

void relocation(trial& t) {
  auto flags = t.elf().dynamic(DT_FLAGS);
  const bool text = t.elf().has(DT_TEXTREL) || (!flags.empty() && (flags[0] & DF_TEXTREL) != 0);
  t.expect(!text, "code that the loader need not change", "DT_TEXTREL: it was built without -fPIC");
}

std::uint64_t flags_1(trial& t) {
  const auto found = t.elf().dynamic(DT_FLAGS_1);
  return found.empty() ? 0 : found[0];
}
std::uint64_t flags(trial& t) {
  const auto found = t.elf().dynamic(DT_FLAGS);
  return found.empty() ? 0 : found[0];
}

void bind_now(trial& t) {
  t.expect(
      (flags(t) & DF_BIND_NOW) != 0 || (flags_1(t) & DF_1_NOW) != 0 || t.elf().has(DT_BIND_NOW),
      "everything resolved when it is opened", "neither DF_BIND_NOW nor DF_1_NOW");
}

void relro(trial& t) {
  const auto& all = t.elf().segments();
  t.expect(std::any_of(all.begin(), all.end(),
                       [](const Elf64_Phdr& one) { return one.p_type == PT_GNU_RELRO; }),
           "tables that are read-only once resolved", "no PT_GNU_RELRO header");
}

void static_tls(trial& t) {
  t.expect((flags(t) & DF_STATIC_TLS) == 0, "no thread-local storage of the static model",
           "DF_STATIC_TLS: opening it fails when that storage is used up");
}

void build_id(trial& t) {
  const auto& all = t.elf().notes();
  t.expect(std::any_of(all.begin(), all.end(),
                       [](const elf_note& one) {
                         return one.owner == "GNU" && one.type == NT_GNU_BUILD_ID;
                       }),
           "a build id, which names this build in reports of crashes", "none");
}

void run_path(trial& t) {
  const auto path = t.elf().run_path();
  std::size_t at = 0;
  while (!path.empty() && at <= path.size()) {
    const auto end = std::min(path.find(':', at), path.size());
    const auto one = path.substr(at, end - at);
    t.expect(one.starts_with("$ORIGIN") || one.starts_with("${ORIGIN}"),
             "libraries searched beside the plugin or in the system's folders only",
             "DT_RUNPATH: " + path);
    at = end + 1;
  }
}

void loader_flags(trial& t) {
  constexpr std::pair<std::uint64_t, const char*> unwanted[] = {{DF_1_INITFIRST, "DF_1_INITFIRST"},
                                                                {DF_1_INTERPOSE, "DF_1_INTERPOSE"},
                                                                {DF_1_GLOBAL, "DF_1_GLOBAL"},
                                                                {DF_1_NOOPEN, "DF_1_NOOPEN"},
                                                                {DF_1_PIE, "DF_1_PIE"}};
  for (const auto& [bit, name] : unwanted)
    t.expect((flags_1(t) & bit) == 0, "no flag that changes how others are loaded", name);
  t.expect((flags(t) & DF_SYMBOLIC) == 0 && !t.elf().has(DT_SYMBOLIC),
           "no flag that changes how others are loaded", "DF_SYMBOLIC");
}

void processor(trial& t) {
#if defined(__x86_64__)
  constexpr std::uint32_t isa_needed = 0xc0008002, baseline_and_v2 = 1u | 2u;
  for (const auto& one : t.elf().notes()) {
    if (one.owner != "GNU" || one.type != NT_GNU_PROPERTY_TYPE_0) continue;
    for (std::size_t at = 0; at + 8 <= one.text.size();) {
      std::uint32_t kind = 0, bytes = 0, value = 0;
      one.text.copy(reinterpret_cast<char*>(&kind), 4, at);
      one.text.copy(reinterpret_cast<char*>(&bytes), 4, at + 4);
      if (kind == isa_needed && bytes == 4 && at + 12 <= one.text.size()) {
        one.text.copy(reinterpret_cast<char*>(&value), 4, at + 8);
        t.expect((value & ~baseline_and_v2) == 0, "it runs on every x86-64 processor since v2",
                 "it needs x86-64-v3 or later");
      }
      at += 8 + (std::size_t{bytes} + 7) / 8 * 8;
    }
  }
#else
  (void)t;
#endif
}

void foreign_runtime(trial& t) {
  for (const auto& one : t.elf().section_names())
    if (one == ".go.buildinfo" || one == ".note.go.buildid" || one == ".gopclntab")
      t.expect(t.about().isolation == "process",
               "\"isolation\": \"process\" in the manifest of a plugin with a Go runtime",
               "\"" + t.about().isolation + "\"; that runtime takes over signals and cannot stop");
}

void sidecar(trial& t) {
  const auto file = t.file().string() + ".json";
  std::error_code problem;
  if (!std::filesystem::exists(file, problem)) return;
  t.expect(std::filesystem::file_size(file, problem) < 65536, "a sidecar below 64 KiB", file);
  std::string text(65536, '\0');
  if (auto* in = std::fopen(file.c_str(), "r")) {
    text.resize(std::fread(text.data(), 1, text.size(), in));
    std::fclose(in);
  }
  json::object object;
  try {
    object = parse_object(text, "sidecar");
  } catch (const std::exception& bad) {
    t.fail("a sidecar with a JSON object", bad.what());
  }
  for (const auto& [key, value] : object) {
    t.expect(key == "isolation" && value == "process",
             "a sidecar that only tightens: isolation \"process\"",
             std::string(key) + ": " + json::serialize(value));
  }
}

constexpr check table[] = {
    {"static.elf", 1, stage::nothing, "a shared object for here",
     "Build it with -shared -fPIC for this machine; copy it completely, then rename.", elf,
     stage::file},
    {"static.note", 1, stage::file, "one manifest note",
     "Give rustic_add_plugin() a MANIFEST, or write RAI_MANIFEST(...) once, at file scope.", note,
     stage::manifest},
    {"static.mode", 2, stage::file, "others cannot write it",
     "chmod go-w FILE; `rustic-ai plugin install` does it.", mode},
    {"static.exports", 2, stage::file, "one exported symbol",
     "Link with the SDK's plugin.map; rustic_add_plugin() does.", exports},
    {"static.unique", 3, stage::file, "no GNU_UNIQUE symbols",
     "Compile with -fno-gnu-unique and link with the SDK's plugin.map; rustic_add_plugin() does.",
     unique},
    {"static.stack", 2, stage::file, "no executable stack",
     "Link with -Wl,-z,noexecstack; mark assembler files with .note.GNU-stack.", stack},
    {"static.writable_code", 2, stage::file, "no writable code",
     "Do not put data into sections with the flags \"awx\".", writable_code},
    {"static.relocation", 2, stage::file, "no relocations in code",
     "Compile everything with -fPIC.", relocation},
    {"static.bind_now", 5, stage::file, "resolved at once",
     "Link with -Wl,-z,now; rustic_add_plugin() does.", bind_now},
    {"static.relro", 5, stage::file, "read-only after loading",
     "Link with -Wl,-z,relro; rustic_add_plugin() does.", relro},
    {"static.tls", 4, stage::file, "no static TLS",
     "Compile without -ftls-model=initial-exec; do not link an allocator into a plugin.",
     static_tls},
    {"static.build_id", 5, stage::file, "has a build id",
     "Link with -Wl,--build-id; rustic_add_plugin() does.", build_id},
    {"static.run_path", 3, stage::file, "no foreign run path",
     "Link without -rpath, or with $ORIGIN; CMake: SKIP_BUILD_RPATH ON.", run_path},
    {"static.loader_flags", 4, stage::file, "harmless loader flags",
     "Link without -z initfirst, -z interpose, -z global, -Bsymbolic and -pie.", loader_flags},
    {"static.processor", 5, stage::file, "runs on older machines",
     "Compile without -march=native; choose code for newer processors at run time.", processor},
    {"static.runtime", 4, stage::manifest, "Go only in a process",
     "Put \"isolation\": \"process\" into the manifest.", foreign_runtime},
    {"static.sidecar", 3, stage::file, "its sidecar only tightens",
     "A NAME.so.json may say {\"isolation\": \"process\"} and nothing else.", sidecar},
};
}  // namespace

std::span<const check> static_checks() {
  return table;
}
}  // namespace rustic::validator
