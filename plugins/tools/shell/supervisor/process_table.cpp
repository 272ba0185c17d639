#include "process_table.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

namespace rustic::shell {
namespace {

bool contains(pid_list list, pid_t pid) {
  for (std::size_t i = 0; i < list.count; ++i) {
    if (list.items[i] == pid) return true;
  }
  return false;
}

// The text of /proc/PID/stat: "pid (name) state parent group ...". The name may hold any character.
bool read_stat(const char* pid, char (&text)[512]) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%.16s/stat", pid);
  const int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return false;
  const ssize_t size = read(file, text, sizeof text - 1);
  close(file);
  if (size <= 0) return false;
  text[size] = 0;
  return true;
}

int by_pid(const void* a, const void* b) {
  const pid_t left = *static_cast<const pid_t*>(a);
  const pid_t right = *static_cast<const pid_t*>(b);
  return left < right ? -1 : left > right ? 1 : 0;
}

}  // namespace

void process_table::read(pid_t root, int signal, pid_list spared, pid_t signalled_group) {
  count_ = 0;
  DIR* directory = opendir("/proc");
  if (directory == nullptr) return;
  while (count_ < scanned_processes_max) {
    const dirent* item = readdir(directory);
    if (item == nullptr) break;
    if (item->d_name[0] < '1' || item->d_name[0] > '9') continue;
    char text[512];
    if (!read_stat(item->d_name, text)) continue;
    const char* after_name = strrchr(text, ')');
    if (after_name == nullptr || strlen(after_name) < 5) continue;
    entry& e = entries_[count_];
    e.pid = static_cast<pid_t>(atol(item->d_name));
    char* after_parent = nullptr;
    e.parent = static_cast<pid_t>(strtol(after_name + 4, &after_parent, 10));
    e.group = static_cast<pid_t>(atol(after_parent));
    e.alive = after_name[2] != 'Z' && after_name[2] != 'X';
    e.below = false;
    ++count_;
    if (signal == 0 || !e.alive || e.parent != root || e.group == signalled_group) continue;
    if (!contains(spared, e.pid)) kill(e.pid, signal);
  }
  closedir(directory);
  qsort(entries_, count_, sizeof(entry), by_pid);
}

process_table::entry* process_table::find(pid_t pid) {
  return static_cast<entry*>(bsearch(&pid, entries_, count_, sizeof(entry), by_pid));
}

void process_table::mark(pid_t root, pid_list spared) {
  for (bool changed = true; changed;) {
    changed = false;
    for (std::size_t i = 0; i < count_; ++i) {
      entry& e = entries_[i];
      if (e.below || contains(spared, e.pid)) continue;
      const entry* parent = find(e.parent);
      if (e.parent != root && (parent == nullptr || !parent->below)) continue;
      e.below = true;
      changed = true;
    }
  }
}

std::size_t process_table::signal_descendants(pid_t root, int signal, pid_list spared,
                                              pid_t signalled_group) {
  read(root, signal, spared, signalled_group);
  mark(root, spared);
  std::size_t found = 0;
  for (std::size_t i = 0; i < count_; ++i) {
    const entry& e = entries_[i];
    if (!e.below || !e.alive) continue;
    ++found;
    if (e.parent != root && e.group != signalled_group) kill(e.pid, signal);
  }
  return found;
}

void process_table::list_descendants(pid_t root, keeper_report& report) {
  read(root, 0, {}, 0);
  mark(root, {});
  report.value = 0;
  report.listed = 0;
  for (std::size_t i = 0; i < count_; ++i) {
    const entry& e = entries_[i];
    if (!e.below || !e.alive) continue;
    ++report.value;
    if (report.listed == listed_processes_max) continue;
    char pid[16];
    char text[512];
    snprintf(pid, sizeof pid, "%d", e.pid);
    if (!read_stat(pid, text)) continue;
    const char* first = strchr(text, '(');
    const char* last = strrchr(text, ')');
    if (first == nullptr || last == nullptr || last < first) continue;
    listed_process& listed = report.processes[report.listed++];
    listed.pid = e.pid;
    snprintf(listed.name, sizeof listed.name, "%.*s", static_cast<int>(last - first - 1),
             first + 1);
  }
}

}  // namespace rustic::shell
