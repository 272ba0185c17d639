// host/cli/turn_report.hpp - one turn's progress and result in the form that was asked for: text,
// one JSON object, or a stream of them.
#pragma once
#include <chrono>
#include <memory>
#include <rustic/status.hpp>
#include <string>

#include "host/cli/exit_code.hpp"
#include "host/cli/turn_options.hpp"
#include "host/runtime/root_call.hpp"

namespace rustic::cli {

// Writes to standard output what the form promises and nothing else. Threads: the main thread.
class turn_report {
 public:
  virtual ~turn_report() = default;
  static std::unique_ptr<turn_report> make(output_form form, bool quiet, bool color);

  virtual void begin(const std::string& session, const turn_options& turn) = 0;
  virtual void event(const runtime::call_event& event) = 0;
  // Exactly once. `result` is the result object of docs/output.md.
  virtual void end(const json::object& result) = 0;

  // False once standard output cannot be written any more.
  bool writable() const noexcept { return write_error_ == 0; }
  // Why not, for a person; empty while it can.
  std::string write_problem() const;

 protected:
  void write(std::string_view text);

 private:
  int write_error_ = 0;
};

// The result object for a turn that was carried out, or that failed with `problem`.
json::object result_object(const json::object& turn, const error* problem,
                           std::int64_t duration_ms);
}  // namespace rustic::cli
