// RFC 3339 by hand: no regular expression looks at a text of unknown length.
#include "moment.hpp"

namespace rustic::schema {
namespace {
// Takes a number of exactly `digits` digits off the front; -1 when there is none.
int take_number(std::string_view& text, std::size_t digits) noexcept {
  if (text.size() < digits) return -1;
  int number = 0;
  for (std::size_t i = 0; i < digits; ++i) {
    if (text[i] < '0' || text[i] > '9') return -1;
    number = number * 10 + (text[i] - '0');
  }
  text.remove_prefix(digits);
  return number;
}

bool take(std::string_view& text, char wanted) noexcept {
  if (text.empty() || text.front() != wanted) return false;
  text.remove_prefix(1);
  return true;
}

bool take_date(std::string_view& text) noexcept {
  const int year = take_number(text, 4);
  if (year < 0 || !take(text, '-')) return false;
  const int month = take_number(text, 2);
  if (month < 1 || month > 12 || !take(text, '-')) return false;
  const int day = take_number(text, 2);
  const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  constexpr int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  return day >= 1 && day <= (month == 2 && leap ? 29 : days[month - 1]);
}

bool take_clock(std::string_view& text, int seconds_max) noexcept {
  const int hour = take_number(text, 2);
  if (hour < 0 || hour > 23 || !take(text, ':')) return false;
  const int minute = take_number(text, 2);
  if (minute < 0 || minute > 59) return false;
  if (seconds_max < 0) return true;
  if (!take(text, ':')) return false;
  const int second = take_number(text, 2);
  return second >= 0 && second <= seconds_max;
}

bool take_time(std::string_view& text) noexcept {
  if (!take_clock(text, 60)) return false;
  if (take(text, '.')) {
    if (take_number(text, 1) < 0) return false;
    while (take_number(text, 1) >= 0) continue;
  }
  if (take(text, 'Z') || take(text, 'z')) return true;
  return (take(text, '+') || take(text, '-')) && take_clock(text, -1);
}
}  // namespace

bool is_moment(std::string_view format, std::string_view text) noexcept {
  if (format == "date") return take_date(text) && text.empty();
  if (format == "time") return take_time(text) && text.empty();
  return take_date(text) && (take(text, 'T') || take(text, 't') || take(text, ' ')) &&
         take_time(text) && text.empty();
}

std::string_view moment_example(std::string_view format) noexcept {
  if (format == "date") return "2026-02-28";
  if (format == "time") return "13:45:00Z";
  return "2026-02-28T13:45:00Z";
}
}  // namespace rustic::schema
