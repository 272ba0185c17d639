// load_checks.cpp - opening the file and asking its entry: nothing else may happen.
#include <algorithm>
#include <cstring>
#include <filesystem>
#include <set>
#include <string>

#include "host/validator/guarded_memory.hpp"
#include "host/validator/opened_plugin.hpp"
#include "host/validator/process_state.hpp"
#include "host/validator/trial.hpp"

namespace rustic::validator {
namespace {

plugin_entry open_entry(trial& t) {
  std::string problem;
  t.step("opening the file");
  void* image = open_image(t.file(), problem);
  if (!image) t.skip("it cannot be opened: " + problem);
  const auto entry = find_entry(image);
  if (!entry) t.skip("it has no rai_plugin_entry_v1");
  t.step("rai_plugin_entry_v1");
  return entry;
}

rai_plugin ask(plugin_entry entry) {
  rai_plugin table{};
  table.struct_size = sizeof(table);
  (void)entry(RAI_ABI_MINOR, &table);
  return table;
}

void open(trial& t) {
  std::string problem;
  t.step("opening the file");
  void* image = open_image(t.file(), problem);
  t.expect(image != nullptr, "a file that opens with everything resolved", problem);
  t.expect(find_entry(image) != nullptr, "the function rai_plugin_entry_v1", "there is none");
}

void entry(trial& t) {
  const auto function = open_entry(t);
  rai_plugin table{};
  table.struct_size = sizeof(table);
  const auto status = function(RAI_ABI_MINOR, &table);
  t.expect(status == RAI_OK, "RAI_OK from the entry", std::to_string(status));
  t.expect(RAI_HAS(&table, create), "the function create", "none, or struct_size leaves it out");
  t.expect(RAI_HAS(&table, service), "the function service", "none, or struct_size leaves it out");
}

void entry_again(trial& t) {
  const auto function = open_entry(t);
  const auto one = ask(function), other = ask(function);
  t.expect(one.create == other.create && one.start == other.start && one.stop == other.stop &&
               one.destroy == other.destroy && one.service == other.service,
           "the same table each time that the entry is asked", "another one");
}

void entry_bounds(trial& t) {
  const auto function = open_entry(t);
  guarded_memory place(sizeof(rai_plugin));
  auto* const table = reinterpret_cast<rai_plugin*>(place.data());
  table->struct_size = sizeof(*table);
  t.step("rai_plugin_entry_v1 with a table that ends at an inaccessible page");
  const auto status = function(RAI_ABI_MINOR, table);
  t.expect(status == RAI_OK, "RAI_OK from the entry", std::to_string(status));
  t.expect(table->struct_size <= sizeof(*table), "struct_size not above the host's",
           std::to_string(table->struct_size) + " instead of " + std::to_string(sizeof(*table)));
}

void entry_small(trial& t) {
  const auto function = open_entry(t);
  constexpr std::size_t bytes = offsetof(rai_plugin, service) + sizeof(rai_plugin::service);
  guarded_memory place(bytes);
  auto* const table = reinterpret_cast<rai_plugin*>(place.data());
  table->struct_size = bytes;
  t.step("rai_plugin_entry_v1 with the smaller table of another host");
  const auto status = function(RAI_ABI_MINOR, table);
  t.expect(status == RAI_OK, "RAI_OK from the entry", std::to_string(status));
  t.expect(RAI_HAS(table, create) && RAI_HAS(table, service), "create and service", "not both");
}

void entry_large(trial& t) {
  const auto function = open_entry(t);
  struct {
    rai_plugin table;
    char more[64];
  } place;
  std::memset(&place, 0, sizeof(place));
  place.table.struct_size = sizeof(place);
  const auto status = function(60000, &place.table);
  t.expect(status == RAI_OK, "RAI_OK also for a host that knows more", std::to_string(status));
  for (const char c : place.more)
    t.expect(c == 0, "a table that is written as far as it is known", "bytes behind it are set");
  t.expect(place.table.struct_size <= sizeof(place), "struct_size not above the host's",
           std::to_string(place.table.struct_size));
}

void threads(trial& t) {
  const auto before = thread_count();
  (void)ask(open_entry(t));
  const auto after = thread_count();
  t.expect(after <= before, "no thread when it is opened",
           std::to_string(after - before) + " more");
}

void files(trial& t) {
  const auto before = descriptors();
  (void)ask(open_entry(t));
  const auto after = descriptors();
  std::string more;
  for (const auto& one : after)
    if (std::find(before.begin(), before.end(), one) == before.end()) more += one + " ";
  t.expect(more.empty() && after.size() == before.size(), "no descriptor opened or closed",
           more.empty() ? "one was closed" : more);
}

void written(trial& t) {
  const auto all_of = [&] {
    std::set<std::string> out;
    for (const auto& one : std::filesystem::recursive_directory_iterator(t.scratch()))
      out.insert(one.path().lexically_relative(t.scratch()).string());
    return out;
  };
  const auto before = all_of();
  (void)ask(open_entry(t));
  for (const auto& one : all_of())
    t.expect(before.contains(one), "nothing is written into the home or the working directory",
             one);
}

void processes(trial& t) {
  const auto before = child_count();
  (void)ask(open_entry(t));
  const auto after = child_count();
  t.expect(after <= before, "no process is started when it is opened",
           std::to_string(after - before) + " more");
}

void output(trial& t) {
  output_capture capture;
  (void)ask(open_entry(t));
  const auto text = capture.text();
  t.expect(text.empty(), "nothing is printed", text);
}

void unchanged(trial& t, std::initializer_list<const char*> parts) {
  auto before = process_state_now();
  (void)ask(open_entry(t));
  auto after = process_state_now();
  for (const auto* part : parts) {
    const auto change = difference(before[part], after[part]);
    t.expect(change.empty(), std::string(part) + " as before", change);
  }
}
void signals(trial& t) {
  unchanged(t, {"signal handlers", "signal mask"});
}
void locale(trial& t) {
  unchanged(t, {"locale"});
}
void folder(trial& t) {
  unchanged(t, {"working directory", "umask"});
}
void environment(trial& t) {
  unchanged(t, {"environment"});
}
void limits(trial& t) {
  unchanged(t, {"resource limits"});
}
void floating(trial& t) {
  unchanged(t, {"floating point"});
}

constexpr std::string_view no_constructor =
    "Do nothing when the file is opened and nothing in the entry; create is for that.";

constexpr check table[] = {
    {"load.open", 1, stage::manifest, "it opens",
     "Link with -Wl,-z,defs: a missing library or function is then an error of the linker.", open,
     stage::opened},
    {"load.entry", 1, stage::manifest, "its entry fills the table",
     "Use RUSTIC_PLUGIN(type), or fill create and service and return RAI_OK.", entry,
     stage::opened},
    {"load.entry_bounds", 1, stage::opened, "writes no more than asked",
     "Fill your own rai_plugin and copy min(out->struct_size, its size) bytes of it.",
     entry_bounds},
    {"load.entry_small", 4, stage::opened, "serves an older host",
     "Fill your own rai_plugin and copy min(out->struct_size, its size) bytes of it.", entry_small},
    {"load.entry_large", 3, stage::opened, "serves a newer host",
     "Write only the members of your own header; refuse no host for its minor version.",
     entry_large},
    {"load.entry_again", 3, stage::opened, "its entry is pure",
     "Return the same functions each time; keep nothing static.", entry_again},
    {"load.threads", 2, stage::opened, "opening starts no thread", no_constructor, threads},
    {"load.descriptors", 2, stage::opened, "opening opens no file", no_constructor, files},
    {"load.files", 2, stage::opened, "opening writes nothing", no_constructor, written},
    {"load.processes", 2, stage::opened, "opening starts no process", no_constructor, processes},
    {"load.output", 2, stage::opened, "opening prints nothing", no_constructor, output},
    {"load.signals", 2, stage::opened, "signals stay as they are", no_constructor, signals},
    {"load.locale", 3, stage::opened, "the locale stays", no_constructor, locale},
    {"load.folder", 3, stage::opened, "folder and umask stay", no_constructor, folder},
    {"load.environment", 3, stage::opened, "the environment stays", no_constructor, environment},
    {"load.limits", 3, stage::opened, "resource limits stay", no_constructor, limits},
    {"load.floating", 4, stage::opened, "float settings stay",
     "Compile without -ffast-math and -Ofast; they change the processor's settings.", floating},
};
}  // namespace

std::span<const check> load_checks() {
  return table;
}
}  // namespace rustic::validator
