// host/validator/strict_host_state.hpp - the two kinds of calls that a strict_host keeps.
#pragma once
#include "host/validator/strict_host.hpp"

namespace rustic::validator {

struct served_call {
  rai_call id = 0;
  call_plan plan;
  std::vector<guarded_memory> guarded;  // of the request, when the plan wants that
  rai_op op{};
  std::mutex control;  // one of cancel, resume and release at a time

  // Guarded by the host's mutex.
  bool has_returned = false;
  bool is_finished = false;
  bool is_cancelled = false;
  bool is_paused = false;
  bool is_stopped = false;  // an emit was answered with STOP
  bool is_emitting = false;
  bool is_released = false;
  bool is_forwarded = false;
  rai_status status = RAI_UNKNOWN;
  std::string body;
  std::vector<seen_event> events;
};

struct strict_host::outgoing {
  rai_call id = 0;
  rai_call parent = 0;
  bool is_shielded = false;
  rai_observer observer{};
  reply script;

  // Guarded by the host's mutex.
  std::size_t next = 0;
  std::uint64_t resumes = 0;
  bool is_playing = false;
  bool again = false;
  bool is_paused = false;
  bool is_cancelled = false;
  bool is_finished = false;
};

struct strict_host::entry {  // the functions of the table
  static strict_host& me(void* self) { return *static_cast<strict_host*>(self); }
  static rai_host make(strict_host* self) noexcept;
};
}  // namespace rustic::validator
