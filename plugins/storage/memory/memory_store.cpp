// memory_store.cpp - every method over ordered maps, with an undo step for each change.
#include "memory_store.hpp"

#include <algorithm>
#include <tuple>

#include <rustic/storage/message_text.hpp>

namespace rustic::storage {
namespace {
constexpr std::int64_t entry_bytes = 64;  // what the maps need beside each payload, about

std::int64_t size_of(std::string_view text) {
  return static_cast<std::int64_t>(text.size());
}

bool starts_with(std::string_view text, std::string_view prefix) {
  return text.substr(0, prefix.size()) == prefix;
}
}  // namespace

memory_reply memory_store::execute(std::string_view method, std::string_view body) noexcept {
  const std::lock_guard lock(mutex_);
  const auto bytes = bytes_;
  const auto floor = state_floor_;
  undo_.clear();
  try {
    return {status_code::ok, dispatch(*this, method, body)};
  } catch (...) {
    const auto problem = current_error();
    for (auto step = undo_.rbegin(); step != undo_.rend(); ++step) (*step)();
    undo_.clear();
    bytes_ = bytes;
    state_floor_ = floor;
    return {problem.code, error_body(problem)};
  }
}

void memory_store::take_bytes(std::int64_t bytes) {
  if (bytes > settings_.max_bytes - bytes_)
    throw failure(status_code::resource_exhausted,
                  "the memory storage is full: " + std::to_string(bytes_) + " of " +
                      std::to_string(settings_.max_bytes) + " bytes are in use and " +
                      std::to_string(bytes) + " more are wanted",
                  "delete sessions, raise max_bytes, or use a storage on disk");
  bytes_ += bytes;
}

memory_store::session_entry& memory_store::find_session(const std::string& id) {
  const auto found = sessions_.find(id);
  if (found == sessions_.end()) fail_no_session(id);
  return found->second;
}

session_record memory_store::snapshot(const session_entry& entry) {
  auto record = entry.record;
  record.message_count = static_cast<std::int64_t>(entry.messages.size());
  return record;
}

std::string memory_store::session_create(const session_record& session) {
  if (sessions_.count(session.id) != 0) fail_session_exists(session.id);
  take_bytes(entry_bytes + size_of(session.metadata.value_or("")));
  sessions_.emplace(session.id, session_entry{session, {}, 1});
  undo_with([this, id = session.id] { sessions_.erase(id); });
  return "{\"session\":" + to_json(session) + "}";
}

std::string memory_store::session_get(const std::string& id) {
  return "{\"session\":" + to_json(snapshot(find_session(id))) + "}";
}

std::string memory_store::session_list(const session_list_request& request) {
  std::vector<const session_entry*> found;
  for (const auto& [id, entry] : sessions_) {
    const auto& record = entry.record;
    if (request.workspace && record.workspace != request.workspace) continue;
    if (request.before_updated_at_ms) {
      const bool older = record.updated_at_ms < *request.before_updated_at_ms;
      const bool tie = record.updated_at_ms == *request.before_updated_at_ms && request.before_id &&
                       id < *request.before_id;
      if (!older && !tie) continue;
    }
    found.push_back(&entry);
  }
  std::sort(found.begin(), found.end(), [](const auto* a, const auto* b) {
    return std::tie(a->record.updated_at_ms, a->record.id) >
           std::tie(b->record.updated_at_ms, b->record.id);
  });
  std::string out = "{\"sessions\":[";
  std::int64_t count = 0;
  for (const auto* entry : found) {
    if (count++ == request.limit) break;
    if (count > 1) out += ',';
    out += to_json(snapshot(*entry));
    check_answer(out);
  }
  return out += "]}";
}

std::string memory_store::session_update(const session_update_request& request) {
  auto& entry = find_session(request.id);
  if (request.expected_version && *request.expected_version != entry.record.version)
    fail_session_version(request.id, *request.expected_version, entry.record.version);
  auto changed = entry.record;
  request.changes.apply_to(changed);
  ++changed.version;
  take_bytes(size_of(changed.metadata.value_or("")) - size_of(entry.record.metadata.value_or("")));
  undo_with([this, id = request.id, old = entry.record] { sessions_.at(id).record = old; });
  entry.record = std::move(changed);
  return "{\"session\":" + to_json(snapshot(entry)) + "}";
}

std::string memory_store::session_delete(const std::string& id) {
  const auto found = sessions_.find(id);
  if (found == sessions_.end()) return "{\"deleted\":false}";
  const auto scope = session_scope(id);
  for (auto entry = state_.lower_bound({scope, ""});
       entry != state_.end() && entry->first.first == scope;)
    erase_state(entry++);
  const auto prefix = session_stream_prefix(id);
  for (auto entry = streams_.lower_bound(prefix);
       entry != streams_.end() && starts_with(entry->first, prefix);)
    erase_stream(entry++);
  bytes_ -= entry_bytes + size_of(found->second.record.metadata.value_or(""));
  for (const auto& one : found->second.messages) bytes_ -= one.bytes;
  undo_with([this, kept = std::make_shared<session_entry>(std::move(found->second))] {
    auto id_copy = kept->record.id;
    sessions_.insert_or_assign(std::move(id_copy), std::move(*kept));
  });
  sessions_.erase(found);
  return "{\"deleted\":true}";
}

std::string memory_store::messages_append(const messages_append_request& request) {
  auto& entry = find_session(request.session);
  const auto next_seq = entry.first_seq + static_cast<std::int64_t>(entry.messages.size());
  if (request.expected_next_seq && *request.expected_next_seq != next_seq)
    fail_next_seq(request.session, *request.expected_next_seq, next_seq);
  const auto count = static_cast<std::int64_t>(request.messages.size());
  if (next_seq + count - 1 > seq_max) fail_seq_range("session \"" + request.session + "\"");

  std::deque<message> added;
  std::int64_t bytes = 0;
  for (const auto& input : request.messages) {
    const auto seq = next_seq + static_cast<std::int64_t>(added.size());
    message one{input.role, std::string(input.parts), std::string(input.metadata.value_or("")),
                input.created_at_ms, 0};
    one.bytes = message_bytes(seq, one.role, one.parts, one.created_at_ms, one.metadata);
    bytes += one.bytes;
    added.push_back(std::move(one));
  }
  take_bytes(bytes);
  std::move(added.begin(), added.end(), std::back_inserter(entry.messages));

  std::deque<message> trimmed;
  while (static_cast<std::int64_t>(entry.messages.size()) > settings_.max_history_size) {
    bytes_ -= entry.messages.front().bytes;
    trimmed.push_back(std::move(entry.messages.front()));
    entry.messages.pop_front();
    ++entry.first_seq;
  }
  undo_with([this, id = request.session, count,
             old = std::make_shared<std::deque<message>>(std::move(trimmed))] {
    auto& target = sessions_.at(id);
    target.first_seq -= static_cast<std::int64_t>(old->size());
    for (auto one = old->rbegin(); one != old->rend(); ++one)
      target.messages.push_front(std::move(*one));
    target.messages.resize(target.messages.size() - static_cast<std::size_t>(count));
  });
  return "{\"first_seq\":" + std::to_string(next_seq) +
         ",\"last_seq\":" + std::to_string(next_seq + count - 1) + "}";
}

std::string memory_store::messages_range(const messages_range_request& request) {
  const auto& entry = find_session(request.session);
  const auto first = std::max(request.from_seq, entry.first_seq);
  const auto last = std::min(
      request.to_seq, entry.first_seq + static_cast<std::int64_t>(entry.messages.size()) - 1);
  std::string out = "{\"messages\":[";
  std::int64_t given = 0, bytes = 0;
  for (; given <= last - first; ++given) {
    const auto seq = request.reverse ? last - given : first + given;
    const auto& one = entry.messages[static_cast<std::size_t>(seq - entry.first_seq)];
    if (given == request.limit || (given > 0 && bytes + one.bytes > request.max_bytes)) break;
    bytes += one.bytes;
    if (given > 0) out += ',';
    append_message(out, seq, one.role, one.parts, one.created_at_ms, one.metadata);
  }
  out += "],\"more\":";
  out += given <= last - first ? "true}" : "false}";
  return out;
}

std::string memory_store::messages_search(const messages_search_request& request) {
  struct candidate {
    std::int64_t created_at_ms, seq;
    const session_entry* entry;
  };
  std::vector<candidate> candidates;
  const auto add = [&](const session_entry& entry) {
    auto seq = entry.first_seq;
    for (const auto& one : entry.messages) candidates.push_back({one.created_at_ms, seq++, &entry});
  };
  if (request.session) {
    add(find_session(*request.session));
  } else {
    for (const auto& [id, entry] : sessions_) add(entry);
  }
  if (request.session) {
    std::reverse(candidates.begin(), candidates.end());
  } else {
    std::sort(candidates.begin(), candidates.end(), [](const candidate& a, const candidate& b) {
      return std::tie(a.created_at_ms, a.entry->record.id, a.seq) >
             std::tie(b.created_at_ms, b.entry->record.id, b.seq);
    });
  }
  const text_query query(request.query);
  std::string out = "{\"hits\":[";
  std::int64_t hits = 0;
  for (const auto& one : candidates) {
    if (hits == request.limit) break;
    const auto& found =
        one.entry->messages[static_cast<std::size_t>(one.seq - one.entry->first_seq)];
    const auto snippet = query.match(found.parts);
    if (!snippet) continue;
    if (hits++ > 0) out += ',';
    object_writer writer(out);
    writer.text("session", one.entry->record.id);
    writer.integer("seq", one.seq);
    writer.text("role", found.role);
    writer.text("snippet", *snippet);
    writer.close();
  }
  return out += "]}";
}

std::string memory_store::state_get(const state_key& at) {
  const auto found = state_.find({at.scope, at.key});
  if (found == state_.end()) fail_no_state(at);
  return "{\"value\":" + found->second.value +
         ",\"version\":" + std::to_string(found->second.version) + "}";
}

std::string memory_store::state_put(const state_put_request& request) {
  const std::pair key{request.at.scope, request.at.key};
  const auto found = state_.find(key);
  const auto version = found == state_.end() ? 0 : found->second.version;
  if (request.expected_version && *request.expected_version != version)
    fail_state_version(request.at, *request.expected_version, version);
  if (found == state_.end()) {
    take_bytes(entry_bytes + size_of(request.value));
    state_.emplace(key, state_entry{std::string(request.value), state_floor_ + 1});
    undo_with([this, key] { state_.erase(key); });
    return "{\"version\":" + std::to_string(state_floor_ + 1) + "}";
  }
  take_bytes(size_of(request.value) - size_of(found->second.value));
  undo_with([this, key, old = found->second] { state_.at(key) = old; });
  found->second = {std::string(request.value), version + 1};
  return "{\"version\":" + std::to_string(version + 1) + "}";
}

void memory_store::erase_state(state_map::iterator entry) {
  bytes_ -= entry_bytes + size_of(entry->second.value);
  state_floor_ = std::max(state_floor_, entry->second.version);
  undo_with([this, key = entry->first, old = entry->second] { state_.emplace(key, old); });
  state_.erase(entry);
}

std::string memory_store::state_delete(const state_delete_request& request) {
  const auto found = state_.find({request.at.scope, request.at.key});
  const auto version = found == state_.end() ? 0 : found->second.version;
  if (request.expected_version && *request.expected_version != version)
    fail_state_version(request.at, *request.expected_version, version);
  if (found == state_.end()) return "{\"deleted\":false}";
  erase_state(found);
  return "{\"deleted\":true}";
}

std::string memory_store::state_list(const state_list_request& request) {
  std::string out = "{\"entries\":[";
  std::int64_t count = 0;
  for (auto entry = state_.lower_bound({request.scope, request.prefix});
       entry != state_.end() && entry->first.first == request.scope &&
       starts_with(entry->first.second, request.prefix) && count < request.limit;
       ++entry) {
    if (count++ > 0) out += ',';
    object_writer writer(out);
    writer.text("key", entry->first.second);
    writer.raw("value", entry->second.value);
    writer.integer("version", entry->second.version);
    writer.close();
    check_answer(out);
  }
  return out += "]}";
}

std::string memory_store::journal_append(const journal_append_request& request) {
  const auto found = streams_.find(request.stream);
  const auto held = found == streams_.end() ? 0 : found->second.records.size();
  const auto first_seq =
      found == streams_.end() ? 1 : found->second.first_seq + static_cast<std::int64_t>(held);
  const auto last_seq = first_seq + static_cast<std::int64_t>(request.records.size()) - 1;
  if (last_seq > seq_max) fail_seq_range("journal \"" + request.stream + "\"");
  std::int64_t bytes = 0;
  for (const auto record : request.records) bytes += entry_bytes + size_of(record);
  take_bytes(bytes);
  auto& stream = streams_[request.stream];
  for (const auto record : request.records) stream.records.emplace_back(record);
  undo_with([this, name = request.stream, held, created = found == streams_.end()] {
    if (created) {
      streams_.erase(name);
    } else {
      streams_.at(name).records.resize(held);
    }
  });
  return "{\"first_seq\":" + std::to_string(first_seq) +
         ",\"last_seq\":" + std::to_string(last_seq) + "}";
}

std::string memory_store::journal_read(const journal_read_request& request) {
  const auto found = streams_.find(request.stream);
  if (found == streams_.end()) return "{\"records\":[],\"more\":false}";
  const auto& stream = found->second;
  const auto newest = stream.first_seq + static_cast<std::int64_t>(stream.records.size()) - 1;
  auto first = stream.first_seq, last = newest;
  if (request.from_seq > 0)
    (request.reverse ? last : first) =
        request.reverse ? std::min(last, request.from_seq) : std::max(first, request.from_seq);
  std::string out = "{\"records\":[";
  std::int64_t given = 0, bytes = 0;
  for (; given <= last - first; ++given) {
    const auto seq = request.reverse ? last - given : first + given;
    const auto& record = stream.records[static_cast<std::size_t>(seq - stream.first_seq)];
    if (given == request.limit || (given > 0 && bytes + size_of(record) > answer_bytes_default))
      break;
    bytes += size_of(record);
    if (given > 0) out += ',';
    object_writer writer(out);
    writer.integer("seq", seq);
    writer.raw("record", record);
    writer.close();
  }
  out += "],\"more\":";
  out += given <= last - first ? "true}" : "false}";
  return out;
}

void memory_store::erase_stream(std::map<std::string, stream_entry>::iterator entry) {
  for (const auto& record : entry->second.records) bytes_ -= entry_bytes + size_of(record);
  undo_with(
      [this, name = entry->first, old = std::make_shared<stream_entry>(std::move(entry->second))] {
        streams_.insert_or_assign(name, std::move(*old));
      });
  streams_.erase(entry);
}

std::string memory_store::journal_delete(const journal_delete_request& request) {
  const auto found = streams_.find(request.stream);
  if (found == streams_.end()) return "{\"deleted\":0}";
  if (!request.to_seq) {
    const auto count = found->second.records.size();
    erase_stream(found);
    return "{\"deleted\":" + std::to_string(count) + "}";
  }
  auto& stream = found->second;
  auto removed = std::make_shared<std::deque<std::string>>();
  while (!stream.records.empty() && stream.first_seq <= *request.to_seq) {
    bytes_ -= entry_bytes + size_of(stream.records.front());
    removed->push_back(std::move(stream.records.front()));
    stream.records.pop_front();
    ++stream.first_seq;
  }
  undo_with([this, name = request.stream, removed] {
    auto& target = streams_.at(name);
    target.first_seq -= static_cast<std::int64_t>(removed->size());
    for (auto record = removed->rbegin(); record != removed->rend(); ++record)
      target.records.push_front(std::move(*record));
  });
  return "{\"deleted\":" + std::to_string(removed->size()) + "}";
}

std::string memory_store::lease_acquire(const lease_acquire_request& request) {
  const auto found = leases_.find(request.name);
  const bool taken = found != leases_.end() && found->second.expires_at_ms > request.now_ms;
  if (taken && found->second.owner != request.owner)
    fail_lease_held(request.name, found->second.owner, found->second.expires_at_ms);
  const lease_entry next{request.owner, taken ? found->second.token : ++last_token_,
                         request.now_ms + request.ttl_ms};
  if (found == leases_.end()) {
    take_bytes(entry_bytes);
    undo_with([this, name = request.name] { leases_.erase(name); });
  } else {
    undo_with([this, name = request.name, old = found->second] { leases_[name] = old; });
  }
  leases_[request.name] = next;
  return "{\"token\":" + std::to_string(next.token) + "}";
}

std::string memory_store::lease_renew(const lease_renew_request& request) {
  const auto found = leases_.find(request.name);
  if (found == leases_.end()) fail_lease_lost(request.name, "");
  if (found->second.token != request.token) fail_lease_lost(request.name, found->second.owner);
  undo_with([this, name = request.name, old = found->second] { leases_[name] = old; });
  found->second.expires_at_ms = request.now_ms + request.ttl_ms;
  return "{}";
}

std::string memory_store::lease_release(const lease_release_request& request) {
  const auto found = leases_.find(request.name);
  if (found == leases_.end() || found->second.token != request.token) return "{}";
  undo_with([this, name = request.name, old = found->second] { leases_[name] = old; });
  leases_.erase(found);
  bytes_ -= entry_bytes;
  return "{}";
}

std::string memory_store::stats() {
  std::int64_t messages = 0;
  for (const auto& [id, entry] : sessions_)
    messages += static_cast<std::int64_t>(entry.messages.size());
  std::string out;
  object_writer writer(out);
  writer.text("backend", "memory");
  writer.integer("sessions", static_cast<std::int64_t>(sessions_.size()));
  writer.integer("messages", messages);
  writer.integer("bytes", bytes_);
  writer.integer("schema_version", 0);
  writer.close();
  return out;
}
}  // namespace rustic::storage
